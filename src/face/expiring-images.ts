import { readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import { PROFILES } from '../core/profiles.js'
import { certificateFile } from './certificates.js'
import { type OpenCloud, projectIdOf } from './cloud.js'
import { ENDING, type InventoryImage, listImages } from './image-inventory.js'
import type { CertificateChoice } from './publish-certificate.js'

export interface ExpiringOptions extends CertificateChoice {
  readonly cloud: OpenCloud
  /** Images whose certificate ends within so many days; those of expired ones are among them. */
  readonly days: number
  readonly signal?: AbortSignal | undefined
}

const DAY_MS = 24 * 60 * 60 * 1000

/**
 * The project's own images that are to be signed anew before their certificates end.
 *
 * @throws {VolsealError} `usage` when the new certificate ends as soon itself
 */
export async function expiringImages(options: ExpiringOptions): Promise<InventoryImage[]> {
  const { cloud, days, signal } = options
  await requireLonger(options)
  const filter = { status: 'active', owner: await projectIdOf(cloud, signal) }
  const images = await listImages({ cloud, filter, expiringDays: days, signal })
  return images.filter(({ state }) => ENDING.has(state))
}

async function requireLonger(options: ExpiringOptions): Promise<void> {
  const { cloud, days, certificate: given, certificateId: id } = options
  const content = given ?? (await certificateFile(cloud.keyManager, id ?? '', PROFILES.cursive))
  const { notAfter, subject } = readCertificate(content, 'the certificate', PROFILES.cursive)
  const left = Math.floor((notAfter.getTime() - Date.now()) / DAY_MS)
  if (left >= days) return
  throw new VolsealError(
    'usage',
    `the certificate (${subject}): expected one that is valid for more than ${days} days, it ends in ${left}`,
    {
      hint: 'make a new one; images that are signed with this one would be among the expiring ones',
    },
  )
}
