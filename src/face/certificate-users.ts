import { asError } from '../core/errors.js'
import { hasStatus } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'

/** An image that is signed with a certificate. */
interface SignedWith {
  readonly certificateId: string
  readonly imageId: string
}

/**
 * Notes in Barbican that an image needs its certificate, so that whoever deletes secrets can know. It is
 * done for certificates only: cinder deletes the keys of its volumes itself, and could not any more.
 */
export async function noteUser(
  cloud: Pick<OpenCloud, 'barbican'>,
  user: SignedWith,
): Promise<void> {
  await evenIfRefused(async () => {
    await cloud.barbican.addConsumer(user.certificateId, consumerOf(user))
  })
}

/** Of an image that is whole without the note; returns what there is to say when it was not made. */
export async function noteOrWarn(
  cloud: Pick<OpenCloud, 'barbican'>,
  user: SignedWith,
): Promise<string[]> {
  try {
    await noteUser(cloud, user)
    return []
  } catch (error) {
    const what = `that the image needs the certificate ${user.certificateId} is not noted in Barbican`
    return [`${what}: ${asError(error).message}`]
  }
}

/** Takes the note back when the image is gone, or signed with another one. */
export async function forgetUser(
  cloud: Pick<OpenCloud, 'barbican'>,
  user: SignedWith,
): Promise<void> {
  await evenIfRefused(async () => {
    await cloud.barbican.removeConsumer(user.certificateId, consumerOf(user))
  })
}

function consumerOf({ imageId }: SignedWith): {
  readonly service: string
  readonly resourceType: string
  readonly resourceId: string
} {
  return { service: 'image', resourceType: 'image', resourceId: imageId }
}

/** Barbican before Wallaby has no such notes, and certificates of others take none. */
async function evenIfRefused(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const isRefusal = ['not-found', 'forbidden'].includes(asError(error).code)
    if (!isRefusal && ![405, 406].some((status) => hasStatus(error, status))) throw error
  }
}
