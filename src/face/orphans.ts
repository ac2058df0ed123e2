import { readBarbicanId } from '../core/barbican-id.js'
import { isUuid } from '../core/check.js'
import { asError, VolsealError } from '../core/errors.js'
import { pickProperties } from '../core/image-signature.js'
import type { BarbicanSecret, GlanceImage } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'
import { isFixedKey } from './encrypted-image.js'
import { type KeyUser, listAllImages, listKeyUsers } from './key-users.js'

export interface OrphanOptions {
  readonly cloud: OpenCloud
  /** Hours; younger secrets may be of what is only being made. 24 when not given. */
  readonly olderThan?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** A key or certificate to which nothing refers that this user may see. */
export interface Orphan {
  readonly id: string
  readonly kind: 'key' | 'certificate'
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
}

/** Of the types that cinder and image signing make; others have users that are not looked for. */
const KINDS: Readonly<Record<string, Orphan['kind']>> = {
  symmetric: 'key',
  passphrase: 'key',
  certificate: 'certificate',
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
  const references = await referencesIn(cloud, signal)
  const referred = new Set([...contained, ...references.map(({ secretId }) => secretId)])
  const unused = secrets.filter((secret) => isCandidate(secret) && !referred.has(secret.id))
  const old = unused.filter(({ created }) => began - Date.parse(created) >= olderThan * HOUR_MS)
  return {
    orphans: (await withoutPurpose(old, cloud, signal)).map(orphanOf),
    bereft: await bereftOf(references, new Set(secrets.map(({ id }) => id)), cloud),
    young: unused.length - old.length,
  }
}

function isCandidate({ type, consumers }: BarbicanSecret): boolean {
  return KINDS[type] !== undefined && consumers.length === 0
}

function orphanOf({ id, type, name, algorithm, bitLength, created }: BarbicanSecret): Orphan {
  return { id, kind: KINDS[type] ?? 'key', name, algorithm, bitLength, created }
}

async function referencesIn(cloud: OpenCloud, signal: AbortSignal | undefined): Promise<Bereft[]> {
  const images = await listAllImages(cloud, { signal })
  const { roles } = (await cloud.session.token(signal)).identity
  const users = await listKeyUsers(cloud, {
    images,
    allProjects: roles.includes('admin'),
    signal,
  })
  const keys = users.map(
    ({ keyId, ...user }): Bereft => ({ ...user, secretId: keyId, lacks: 'key' }),
  )
  return [...keys, ...images.flatMap(certificateOf)]
}

function certificateOf({ id, name, properties }: GlanceImage): Bereft[] {
  const value = pickProperties(properties).img_signature_certificate_uuid
  if (typeof value !== 'string' || value === '') return []
  const named = readBarbicanId(value)
  const secretId = named.kind === 'id' ? named.id : value
  return [{ kind: 'image', id, name, secretId, lacks: 'certificate' }]
}

/** What volseal has made for another purpose says so, such as the keys of header backups. */
async function withoutPurpose(
  secrets: readonly BarbicanSecret[],
  { barbican }: OpenCloud,
  signal: AbortSignal | undefined,
): Promise<BarbicanSecret[]> {
  const kept: BarbicanSecret[] = []
  for (const secret of secrets) {
    const metadata = await barbican.metadata(secret.id, signal).catch(ignoreGone)
    if (metadata !== undefined && metadata['volseal-purpose'] === undefined) kept.push(secret)
  }
  return kept
}

/** Deleted since it was listed, or for others to read. */
function ignoreGone(error: unknown): undefined {
  const isExpected =
    error instanceof VolsealError && ['not-found', 'forbidden'].includes(error.code)
  if (!isExpected) throw error
}

/** A secret that is not listed may be another project's: each is asked for by its id. */
async function bereftOf(
  references: readonly Bereft[],
  listed: ReadonlySet<string>,
  { barbican }: OpenCloud,
): Promise<Bereft[]> {
  const gone = new Map<string, boolean>()
  const bereft: Bereft[] = []
  for (const reference of references) {
    const { secretId } = reference
    if (listed.has(secretId) || isFixedKey(secretId)) continue
    const isGone = gone.get(secretId) ?? (await isMissing(barbican, secretId))
    gone.set(secretId, isGone)
    if (isGone) bereft.push(reference)
  }
  return bereft
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
  const { orphans } = await findOrphans(options)
  const chosen = ids.map((id) => requireOrphan(id, orphans))
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
  return new VolsealError(error.code, `${error.message}; deleted before: ${ids}`, {
    hint: error.hint,
    cause: error,
  })
}

function requireOrphan(id: string, orphans: readonly Orphan[]): Orphan {
  const orphan = orphans.find((each) => each.id === id)
  if (orphan !== undefined) return orphan
  throw new VolsealError(
    'busy',
    `nothing was deleted: ${id} is no orphan: something refers to it, it is too young, not there, or of another kind`,
    { hint: 'volseal secret orphans lists them; volseal secret delete deletes any secret' },
  )
}
