import { VolsealError } from '../core/errors.js'
import { consume } from '../core/secret.js'
import type { ServicePlaces } from '../openstack/index.js'
import {
  checkRootSecret,
  keymasterLines,
  ROOT_SECRET_ALGORITHM,
  ROOT_SECRET_BITS,
  type RootSecretFacts,
} from '../swift/index.js'
import type { OpenCloud } from './cloud.js'
import { madeSecret, Undo } from './undo.js'

/** The body of `swift rootkey create --json`. */
export interface NewRootKey {
  readonly keyId: string
  readonly name: string
  readonly algorithm: string
  readonly bitLength: number
  /** The section of keymaster.conf, without the password. */
  readonly keymasterConf: readonly string[]
}

/**
 * Has Barbican draw the root secret that all keys of Swift are derived from, and reads it back. The
 * cloud's user is the one that Swift is to read it as.
 *
 * @throws {VolsealError} `forbidden`, `unavailable`; `io` when another secret came back, which is then
 * deleted
 */
export async function createRootKey(cloud: OpenCloud, name: string): Promise<NewRootKey> {
  const { session, keyManager } = cloud
  const wanted = { algorithm: ROOT_SECRET_ALGORITHM, bitLength: ROOT_SECRET_BITS }
  const metadata = { 'volseal-purpose': 'swift-root-secret' }
  const keyId = await keyManager.createKey({ ...wanted, name, metadata })
  const undo = new Undo()
  undo.add(madeSecret(keyManager, { id: keyId, what: 'the secret' }))
  try {
    await requireAsked(cloud, keyId)
    const identity = await identityOptions(cloud)
    const endpoint = endpointOption(await session.places('key-manager'))
    const keymasterConf = keymasterLines(keyId, identity, session.cloud.authUrl, endpoint)
    return { keyId, name, ...wanted, keymasterConf }
  } catch (error) {
    throw await undo.all(error)
  }
}

/** Of several regions Swift would take any, and of the others it knows no override and no interface. */
function endpointOption({ used, first, regions }: ServicePlaces): string | undefined {
  return regions.length > 1 || used !== first?.address ? used : undefined
}

async function requireAsked(cloud: OpenCloud, keyId: string): Promise<void> {
  const checks = checkRootSecret('', await rootSecretFacts(cloud, keyId))
  const failed = checks.filter(({ result }) => result === 'fail')
  if (failed.length === 0) return
  const found = failed.map((check) => `${check.name} ${check.found}`).join(', ')
  throw new VolsealError('io', `Barbican made another secret than was asked for: ${found}`)
}

/** By names, as people write them; by ids where the cloud's configuration has no names. */
async function identityOptions({ session }: OpenCloud): Promise<[string, string][]> {
  const { login, scope } = session.cloud
  const { user, project } = (await session.token()).identity
  const named = login.kind === 'password' && 'name' in login.user ? login.user : undefined
  const scoped = scope.kind === 'project' && 'name' in scope.project ? scope.project : undefined
  return [
    ...(named === undefined
      ? [pair('user_id', user.id)]
      : [pair('username', named.name), domainOption('user', named.domain)]),
    ...(scoped === undefined
      ? [pair('project_id', project?.id ?? '')]
      : [pair('project_name', scoped.name), domainOption('project', scoped.domain)]),
  ]
}

function domainOption(
  of: 'user' | 'project',
  domain: { readonly id: string } | { readonly name: string },
): [string, string] {
  return 'id' in domain
    ? pair(`${of}_domain_id`, domain.id)
    : pair(`${of}_domain_name`, domain.name)
}

function pair(option: string, value: string): [string, string] {
  return [option, value]
}

/** What Barbican says of a root secret, and how long it is. */
export async function rootSecretFacts(
  { barbican }: OpenCloud,
  id: string,
): Promise<RootSecretFacts> {
  const { type, algorithm, bitLength, expiration } = await barbican.show(id)
  const payloadBytes = await consume(await barbican.payload(id), (payload) => payload.length)
  return { type, algorithm, bitLength, expiration, payloadBytes }
}
