import { mapAtOnce } from '../core/at-once.js'
import { barbicanIdOr } from '../core/barbican-id.js'
import { isUuid } from '../core/check.js'
import { asError, retold, VolsealError } from '../core/errors.js'
import { pickProperties } from '../core/image-signature.js'
import type { BarbicanSecret, GlanceImage } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'
import { isFixedKey, isVolumeKey, VOLUME_KEY } from './encrypted-image.js'
import { findKeyUse, type KeyUse, type KeyUser } from './key-users.js'

export interface OrphanOptions {
  readonly cloud: OpenCloud
  /** Hours; younger secrets may be of what is only being made. 24 when not given. */
  readonly olderThan?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** A key or certificate to which nothing refers that this user may see. */
export interface Orphan {
  readonly id: string
  /** `volume-key`: a copy that `write` has made for a volume, which may be one outside cinder. */
  readonly kind: 'key' | 'certificate' | 'volume-key'
  readonly name: string | null
  readonly algorithm: string | null
  readonly bitLength: number | null
  /** ISO 8601, UTC. */
  readonly created: string
}

/** Something whose key or certificate is gone. */
export interface Bereft {
  readonly kind: KeyUser['kind']
  readonly id: string
  readonly name: string | null
  /** The secret that is not there. */
  readonly secretId: string
  /** What it was: without its key the content is lost, without its certificate nobody can verify it. */
  readonly lacks: 'key' | 'certificate'
}

/** The body of `secret orphans --json`. */
export interface OrphanReport {
  readonly orphans: readonly Orphan[]
  readonly bereft: readonly Bereft[]
  /** Secrets that are too young to be told. */
  readonly young: number
  /** Backups whose keys cinder (before Wallaby) does not tell: while there are any, no key is an orphan. */
  readonly untoldBackups: number
}

const HOURS = 24
const HOUR_MS = 60 * 60 * 1000

/**
 * Keys and certificates of the project to which no volume, backup or image refers, and volumes, backups
 * and images whose key or certificate is gone. What other services need (nova's own disks, Swift's root
 * secret, load balancers) is not seen: only what is registered in Barbican as a consumer or a container
 * counts as theirs. Nothing is changed.
 *
 * @throws {VolsealError} `forbidden`, `unavailable`: without one of the services nothing can be said
 */
export async function findOrphans(options: OrphanOptions): Promise<OrphanReport> {
  const { cloud, signal, olderThan = HOURS } = options
  // The secrets first: what is made meanwhile has its key before it is listed itself.
  const began = Date.now()
  const secrets = await cloud.barbican.list({}, signal)
  const contained = await cloud.barbican.containedSecrets(signal)
  const use = await findKeyUse(cloud, signal)
  const references = referencesIn(use)
  const referred = new Set([...contained, ...references.map(({ secretId }) => secretId)])
  const unused = secrets.filter((secret) => isCandidate(secret, use) && !referred.has(secret.id))
  const old = unused.filter(({ created }) => began - Date.parse(created) >= olderThan * HOUR_MS)
  return {
    orphans: await orphansIn(old, cloud, signal),
    bereft: await bereftOf(await withoutOthers(references, use, cloud, signal), secrets, cloud),
    young: unused.length - old.length,
    untoldBackups: use.untold,
  }
}

function isCandidate(secret: BarbicanSecret, { untold }: KeyUse): boolean {
  const kind = typeOf(secret)
  return kind !== undefined && secret.consumers.length === 0 && (kind !== 'key' || untold === 0)
}

/** What cinder, image signing and volseal make; the other types have users that are not looked for. */
function typeOf(secret: BarbicanSecret): 'key' | 'certificate' | undefined {
  if (secret.type === 'certificate') return 'certificate'
  return isVolumeKey(secret) ? 'key' : undefined
}

function referencesIn({ images, users }: KeyUse): Bereft[] {
  const keys = users.map(
    ({ keyId, ...user }): Bereft => ({ ...user, secretId: keyId, lacks: 'key' }),
  )
  return [...keys, ...images.flatMap(certificateOf)]
}

function certificateOf({ id, name, properties }: GlanceImage): Bereft[] {
  const value = pickProperties(properties).img_signature_certificate_uuid
  if (typeof value !== 'string' || value === '') return []
  return [{ kind: 'image', id, name, secretId: barbicanIdOr(value), lacks: 'certificate' }]
}

/** How many requests Barbican gets at once: it has other users. */
const AT_ONCE = 8

async function orphansIn(
  secrets: readonly BarbicanSecret[],
  { barbican }: OpenCloud,
  signal: AbortSignal | undefined,
): Promise<Orphan[]> {
  const found = await mapAtOnce(secrets, AT_ONCE, async (secret) => {
    const metadata = await barbican.metadata(secret.id, signal).catch(ignoreGone)
    const kind = metadata === undefined ? undefined : kindOf(secret, metadata)
    return kind === undefined ? [] : [orphanOf(secret, kind)]
  })
  return found.flat()
}

/** What volseal has made for another purpose says so, such as the keys of header backups. */
function kindOf(
  secret: BarbicanSecret,
  { 'volseal-purpose': purpose, 'volume-uuid': volume }: Readonly<Record<string, string>>,
): Orphan['kind'] | undefined {
  if (purpose === undefined) return typeOf(secret)
  // Those of `luks rekey` say which volume they are of, and the next run finds them again.
  return purpose === VOLUME_KEY && volume === undefined ? 'volume-key' : undefined
}

function orphanOf(
  { id, name, algorithm, bitLength, created }: BarbicanSecret,
  kind: Orphan['kind'],
): Orphan {
  return { id, kind, name, algorithm, bitLength, created }
}

/** Deleted since it was listed, or for others to read. */
function ignoreGone(error: unknown): undefined {
  const isExpected =
    error instanceof VolsealError && ['not-found', 'forbidden'].includes(error.code)
  if (!isExpected) throw error
}

/** Anybody can offer others such images, whatever secrets they name. */
const OFFERED: ReadonlySet<string> = new Set(['community', 'shared'])

/** What the images have lost that other projects offer is their business. */
async function withoutOthers(
  references: readonly Bereft[],
  { images }: KeyUse,
  { session }: OpenCloud,
  signal: AbortSignal | undefined,
): Promise<Bereft[]> {
  const own = (await session.token(signal)).identity.project?.id
  const others = new Set(
    images
      .filter(({ visibility, owner }) => OFFERED.has(visibility) && owner !== own)
      .map(({ id }) => id),
  )
  return references.filter(({ id }) => !others.has(id))
}

/** A secret that is not listed may be another project's: each is asked for by its id. */
async function bereftOf(
  references: readonly Bereft[],
  secrets: readonly BarbicanSecret[],
  { barbican }: OpenCloud,
): Promise<Bereft[]> {
  const listed = new Set(secrets.map(({ id }) => id))
  const ids = new Set(references.map(({ secretId }) => secretId))
  const unlisted = [...ids].filter((id) => !listed.has(id) && !isFixedKey(id))
  const missing = await mapAtOnce(unlisted, AT_ONCE, async (id) =>
    (await isMissing(barbican, id)) ? [id] : [],
  )
  const gone = new Set(missing.flat())
  return references.filter(({ secretId }) => gone.has(secretId))
}

async function isMissing(barbican: OpenCloud['barbican'], id: string): Promise<boolean> {
  // What is no id of Barbican's names nothing there; it is not asked for what would be another path.
  if (!isUuid(id)) return true
  try {
    await barbican.show(id)
    return false
  } catch (error) {
    const { code } = asError(error)
    if (code === 'not-found') return true
    if (code === 'forbidden') return false
    throw error
  }
}

export interface DeleteOrphansOptions extends OrphanOptions {
  /** Ids of orphans. */
  readonly ids: readonly string[]
}

/** The body of `secret orphans --delete --json`. */
export interface DeletedOrphans {
  readonly deleted: readonly Orphan[]
}

/**
 * Deletes orphans, after all of them have been found to be such once more. What only a deleted key opens
 * is lost.
 *
 * @throws {VolsealError} `busy` when one of them is none; then nothing is deleted
 */
export async function deleteOrphans(options: DeleteOrphansOptions): Promise<DeletedOrphans> {
  const { ids, cloud } = options
  const found = await findOrphans(options)
  const chosen = ids.map((id) => requireOrphan(id, found))
  const deleted: Orphan[] = []
  for (const orphan of chosen) {
    await cloud.keyManager.delete(orphan.id).catch((error: unknown) => {
      throw afterSome(error, deleted)
    })
    deleted.push(orphan)
  }
  return { deleted }
}

function afterSome(reason: unknown, deleted: readonly Orphan[]): VolsealError {
  const error = asError(reason)
  if (deleted.length === 0) return error
  const ids = deleted.map(({ id }) => id).join(', ')
  return retold(error, { message: `${error.message}; deleted before: ${ids}` })
}

/** Nobody can see whether there is such a volume. */
function perhapsOnly(id: string): VolsealError {
  return new VolsealError(
    'busy',
    `nothing was deleted: ${id} may be the only key of a volume outside cinder`,
    { hint: `when none was made with it: volseal secret delete ${id}` },
  )
}

function requireOrphan(id: string, { orphans, untoldBackups }: OrphanReport): Orphan {
  const orphan = orphans.find((each) => each.id === id)
  if (orphan?.kind === 'volume-key') throw perhapsOnly(id)
  if (orphan !== undefined) return orphan
  const backups =
    untoldBackups === 0 ? '' : ', a key that a backup may need (not told by this cinder)'
  throw new VolsealError(
    'busy',
    `nothing was deleted: ${id} is no orphan: something refers to it, it is too young, not there, or of another kind${backups}`,
    { hint: 'volseal secret orphans lists them; volseal secret delete deletes any secret' },
  )
}
