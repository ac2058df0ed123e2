import { type Certificate, readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import { PROFILES } from '../core/profiles.js'
import { Secret } from '../core/secret.js'
import { certificateFile } from './certificates.js'
import type { OpenCloud } from './cloud.js'
import { madeSecret, NEVER, type Undo } from './undo.js'

/** A certificate that the services can fetch. */
export interface KeptCertificate {
  readonly id: string
  readonly certificate: Certificate
  /** Whether it was there before. */
  readonly reused: boolean
}

export interface CertificateChoice {
  readonly certificate?: Buffer | undefined
  readonly certificateId?: string | undefined
}

/** How many certificates of other names are looked into before it is stored once more. */
const MOST_COMPARED = 200
const AT_ONCE = 8
const LONGEST_NAME = 255

/**
 * Sees to it that the certificate is in Barbican in the one form that castellan loads: PEM, as
 * octets, of the type certificate. One that is there already is used again.
 *
 * @throws {VolsealError} `usage`, `signature-malformed`, `forbidden` without the role for it
 */
export async function keepCertificate(
  cloud: OpenCloud,
  choice: CertificateChoice,
  undo: Undo,
): Promise<KeptCertificate> {
  const { certificateId, certificate: content } = choice
  const given = content === undefined ? undefined : readCertificate(content, 'the certificate')
  if (certificateId !== undefined) return await useKept(cloud, certificateId, given)
  if (given === undefined) {
    throw new VolsealError('usage', 'to publish an image, its certificate must be known', {
      hint: 'give it with --cert FILE, or with --cert-id ID when it is in Barbican already',
    })
  }
  const found = await findSame(cloud, given)
  if (found !== undefined) return { id: found, certificate: given, reused: true }
  return { id: await store(cloud, given, undo), certificate: given, reused: false }
}

async function useKept(
  { keyManager }: OpenCloud,
  id: string,
  given: Certificate | undefined,
): Promise<KeptCertificate> {
  const name = `the certificate ${id}`
  const content = await certificateFile(keyManager, id, PROFILES.cursive)
  const certificate = readCertificate(content, name, PROFILES.cursive)
  if (given === undefined || given.fingerprint === certificate.fingerprint) {
    return { id, certificate, reused: true }
  }
  throw new VolsealError(
    'signature-malformed',
    `${name}: expected the one that is given (${given.subject}), it is another one (${certificate.subject})`,
  )
}

/** By its name first, which is the one that we give. */
async function findSame(
  { barbican, keyManager }: OpenCloud,
  wanted: Certificate,
): Promise<string | undefined> {
  const listed = await barbican.list({ type: 'certificate' })
  const fit = listed.filter(
    ({ contentType, expiration }) => contentType !== 'text/plain' && expiration === null,
  )
  const ours = fit.filter(({ name }) => name === nameOf(wanted))
  const others = fit.filter((secret) => !ours.includes(secret)).toReversed()
  const candidates = [...ours, ...others].slice(0, MOST_COMPARED)
  for (let from = 0; from < candidates.length; from += AT_ONCE) {
    const some = candidates.slice(from, from + AT_ONCE)
    const same = await Promise.all(some.map(async ({ id }) => await isSame(keyManager, id, wanted)))
    const found = some[same.indexOf(true)]
    if (found !== undefined) return found.id
  }
  return undefined
}

/** What cannot be read is not it: secrets come and go, and not all are this user's. */
async function isSame(
  keyManager: OpenCloud['keyManager'],
  id: string,
  { fingerprint }: Certificate,
): Promise<boolean> {
  try {
    const content = await certificateFile(keyManager, id, PROFILES.cursive)
    return readCertificate(content, id, PROFILES.cursive).fingerprint === fingerprint
  } catch (error) {
    const passes = ['not-found', 'forbidden', 'signature-malformed']
    if (error instanceof VolsealError && passes.includes(error.code)) return false
    throw error
  }
}

/** Only the certificate itself: what else its file holds may be a private key. */
async function store(cloud: OpenCloud, certificate: Certificate, undo: Undo): Promise<string> {
  const payload = new Secret(Buffer.from(certificate.pem))
  const name = nameOf(certificate)
  const id = await cloud.keyManager.store({ type: 'certificate', payload, name })
  const neededBy = async (): Promise<string | undefined> => await imageWith(cloud, id)
  undo.add(madeSecret(cloud.keyManager, { id, what: 'the certificate', neededBy }))
  return id
}

/** Somebody may have published an image with it meanwhile. */
async function imageWith({ glance }: OpenCloud, id: string): Promise<string | undefined> {
  const filter = { img_signature_certificate_uuid: id }
  for await (const image of glance.listAll(filter, { signal: NEVER })) {
    return `the image ${image.id} refers to it`
  }
  return undefined
}

function nameOf({ subject, fingerprint }: Certificate): string {
  const end = ` (${fingerprint.slice(0, 16)})`
  return `image signing: ${subject}`.slice(0, LONGEST_NAME - end.length) + end
}
