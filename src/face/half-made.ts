import { hostname } from 'node:os'
import { VolsealError } from '../core/errors.js'
import { isGone, ownProcessName, pidOf } from '../core/process-name.js'
import type { GlanceImage } from '../openstack/index.js'
import type { SignedImage } from '../sign/index.js'
import type { OpenCloud } from './cloud.js'

/**
 * An image that is being published says so in two properties, until it is whole: whoever was killed
 * on the way has left one that the next run recognises.
 */
const WHAT = 'volseal_publishing'
const WHO = 'volseal_publisher'

export const MARKS: readonly string[] = [WHAT, WHO]

/** The marks of an image that this process publishes. */
export async function marksOf(signed: SignedImage): Promise<Record<string, string>> {
  return { [WHAT]: markOf(signed), [WHO]: `${hostname()}/${await ownProcessName()}` }
}

function markOf({ digest, properties }: SignedImage): string {
  return `${properties.img_signature_hash_method}:${digest}`
}

/**
 * Images that an earlier run has left half-made, of the same content and by nobody who is still at it.
 *
 * @throws {VolsealError} `busy` when somebody else publishes the same image now
 */
export async function findHalfMade(
  { glance, session }: Pick<OpenCloud, 'glance' | 'session'>,
  signed: SignedImage,
): Promise<GlanceImage[]> {
  const { identity } = await session.token()
  const owner = identity.project?.id
  const filter = { [WHAT]: markOf(signed), ...(owner === undefined ? {} : { owner }) }
  const left: GlanceImage[] = []
  for await (const image of glance.list(filter)) {
    await requireAbandoned(image)
    left.push(image)
  }
  return left
}

async function requireAbandoned({ id, properties }: GlanceImage): Promise<void> {
  const [host = '', name = ''] = (properties[WHO] ?? '').split('/')
  const here = host === hostname()
  if (here && (await isGone(name))) return
  const who = here ? `the process ${pidOf(name)}` : `a process on ${host || 'another computer'}`
  throw new VolsealError('busy', `${who} is publishing the same image, as ${id}`, {
    hint: `wait for it; if it was killed: openstack image delete ${id}`,
  })
}
