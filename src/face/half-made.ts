import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname, uptime } from 'node:os'
import { VolsealError } from '../core/errors.js'
import { isGone, isOfThisBoot, isWatched, ownProcessName, pidOf } from '../core/process-name.js'
import type { GlanceImage } from '../openstack/index.js'
import type { SignedImage } from '../sign/index.js'
import { forgetUser } from './certificate-users.js'
import type { OpenCloud } from './cloud.js'
import { lookAfter } from './delete-image.js'
import { type ImageKey, imageKeyOf, policyChange } from './encrypted-image.js'
import { findClaims } from './key-claims.js'

/**
 * An image that is being published says so in two properties, until it is whole: whoever was killed
 * on the way has left one that the next run recognises.
 */
const WHAT = 'volseal_publishing'
const WHO = 'volseal_publisher'

export const MARKS: readonly string[] = [WHAT, WHO]

/**
 * The marks of an image that this process publishes. Snapshots of instances and of volumes inherit the
 * properties of their image (nova, cinder): the id tells the image from what was made of it.
 */
export async function marksOf(signed: SignedImage, id: string): Promise<Record<string, string>> {
  const who = [hostname(), await machineMark(), await ownProcessName(), id]
  return { [WHAT]: markOf(signed), [WHO]: who.join('/') }
}

/** Computers may share a name. The id itself is nobody's business (machine-id(5)). */
async function machineMark(): Promise<string> {
  const id = await readFile('/etc/machine-id', 'utf8').catch(() => '')
  return createHash('sha256').update(`volseal:${id}`).digest('hex').slice(0, 16)
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
    if (publisherOf(image)?.id !== image.id) continue
    await requireAbandoned(image)
    left.push(image)
  }
  return left
}

/** What became of a half-made image. */
export interface Removal {
  readonly isRemoved: boolean
  /** Id of its key, which was not deleted with it. */
  readonly leftKey?: string | undefined
}

/**
 * Removes one with its key, unless it was finished since it was found. Whoever may make images could have
 * written its properties: a key that is or may be needed by something else stays.
 */
export async function removeHalfMade(cloud: OpenCloud, found: GlanceImage): Promise<Removal> {
  const now = await cloud.glance.show(found.id)
  if (now.properties[WHO] !== found.properties[WHO]) return { isRemoved: false }
  const named = imageKeyOf(now)
  const key = named?.goesWithImage === true && !named.isFixed ? named : undefined
  const isOwn = key !== undefined && (await isUnclaimed(key, now, cloud))
  if (key !== undefined && !isOwn) {
    await cloud.glance.change(found.id, [policyChange(key, 'keep')])
  }
  await cloud.glance.delete(found.id)
  const certificateId = now.properties['img_signature_certificate_uuid'] ?? ''
  await forgetUser(cloud, { certificateId, imageId: found.id }).catch(() => undefined)
  if (key === undefined) return { isRemoved: true }
  const fate = isOwn ? await lookAfter(key, cloud) : 'left'
  return { isRemoved: true, leftKey: fate === 'left' ? key.id : undefined }
}

/** False as well when one of the services cannot be asked. */
async function isUnclaimed(key: ImageKey, image: GlanceImage, cloud: OpenCloud): Promise<boolean> {
  const claims = await findClaims(key, image, cloud).catch(() => undefined)
  return claims?.reasons.length === 0
}

interface Publisher {
  readonly host: string
  readonly machine: string
  readonly name: string
  /** Of the image that it publishes. */
  readonly id: string
}

function publisherOf({ properties }: GlanceImage): Publisher | undefined {
  const [host, machine, name, id] = (properties[WHO] ?? '').split('/')
  if (host === undefined || machine === undefined || name === undefined) return undefined
  return id === undefined ? undefined : { host, machine, name, id }
}

async function requireAbandoned(image: GlanceImage): Promise<void> {
  const { id } = image
  const { host = '', machine = '', name = '' } = publisherOf(image) ?? {}
  const here = host === hostname() && machine === (await machineMark())
  if (here && (await isOver(name, image))) return
  const isSeen = here && (await isWatched(name))
  if (!isSeen && isStale(image)) return
  const who = here ? `the process ${pidOf(name)}` : `a process on ${host || 'another computer'}`
  const later = isSeen
    ? ''
    : `; ${STALE_HOURS} hours after its last change the next run takes it for killed`
  throw new VolsealError('busy', `${who} is publishing the same image, as ${id}`, {
    hint: `wait for it; if it was killed: volseal images delete ${id}${later}`,
  })
}

const STALE_HOURS = 24

/** Of a process that nobody here can look for: no upload takes so long. */
function isStale({ updated }: GlanceImage): boolean {
  return Date.now() - Date.parse(updated) > STALE_HOURS * 60 * 60 * 1000
}

/** A process of another boot is one of before this boot: else the computer is a copy of this one. */
async function isOver(name: string, { created }: GlanceImage): Promise<boolean> {
  if (!(await isGone(name))) return false
  return (await isOfThisBoot(name)) || Date.parse(created) < Date.now() - uptime() * 1000
}
