import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { readSmallFile } from '../core/byte-source.js'
import { type ErrorCode, VolsealError } from '../core/errors.js'
import { type Environment, hasStatus } from '../openstack/index.js'
import {
  type ConfigCheck,
  checkEndpoint,
  checkPipeline,
  checkRootSecret,
  type DeviceSearch,
  type KeymasterConf,
  parseConfig,
  readKeymasterConf,
  searchDevices,
} from '../swift/index.js'
import { type OpenCloud, openCloud } from './cloud.js'
import { rootSecretFacts } from './new-root-key.js'
import { Undo, unlessGone } from './undo.js'

export type { ConfigCheck, DeviceSearch }

export interface CheckRootKeyOptions {
  /** keymaster.conf, with the user that Swift reads the root secret as. */
  readonly keymasterConf: string
  /** proxy-server.conf, whose pipeline is checked. */
  readonly proxyConf?: string | undefined
  /** A user of Swift: an object is written through the proxy as that one, and deleted. */
  readonly writeAs?: OpenCloud | undefined
  /** With `writeAs`, on a storage node: the directory of its devices, where it must not be in clear. */
  readonly devices?: string | undefined
  readonly env: Environment
  readonly warn?: ((text: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** An object that was written through the proxy, and deleted again. */
export interface WrittenObject {
  readonly container: string
  readonly object: string
  /** Length in bytes. */
  readonly size: number
  /** Whether it was given back as it was written. */
  readonly same: boolean
  /** What the devices hold of it; null when they were not looked at. */
  readonly devices: DeviceSearch | null
}

/** The body of `swift rootkey check --json`. */
export interface RootKeyCheck {
  readonly keymasterConf: string
  readonly proxyConf: string | null
  readonly checks: readonly ConfigCheck[]
  readonly object: WrittenObject | null
}

/** Some check has failed; the code is that of the error which kept a root secret from being read. */
export class RootKeyRefused extends VolsealError {
  readonly report: RootKeyCheck

  constructor(code: ErrorCode, report: RootKeyCheck, cause: unknown) {
    const failed = report.checks.filter(isFailed)
    const all = report.checks.length
    super(
      code,
      `${failed.length} of ${all} checks failed: ${failed.map(({ name }) => name).join(', ')}`,
      {
        hint: 'mend what failed before objects are written; those written before stay as they are',
        cause,
      },
    )
    this.report = report
  }
}

/**
 * Checks that Swift encrypts: the root secrets in Barbican as Swift reads them, the proxy's pipeline,
 * and an object's way onto the disk.
 *
 * @throws {RootKeyRefused} `incomplete`; `not-found`, `forbidden`, `unavailable` for a root secret that
 * cannot be read
 * @throws {VolsealError} `usage` for files that cannot be understood, `forbidden`, `not-found`, `io`
 */
export async function checkRootKey(options: CheckRootKeyOptions): Promise<RootKeyCheck> {
  const { keymasterConf, proxyConf, signal } = options
  const keymaster = readKeymasterConf(await readConfig(keymasterConf, signal))
  const pipeline =
    proxyConf === undefined ? [] : checkPipeline(await readConfig(proxyConf, signal), keymasterConf)
  const { checks: secrets, error } = await checkSecrets(keymaster, options)
  const object = options.writeAs === undefined ? null : await writeObject(options.writeAs, options)
  const checks = [...secrets, ...pipeline, ...(object === null ? [] : checksOf(object))]
  const report = { keymasterConf, proxyConf: proxyConf ?? null, checks, object }
  if (!checks.some(isFailed)) return report
  throw new RootKeyRefused(error?.code ?? 'incomplete', report, error)
}

function isFailed({ result }: ConfigCheck): boolean {
  return result === 'fail'
}

async function readConfig(
  path: string,
  signal: AbortSignal | undefined,
): Promise<ReturnType<typeof parseConfig>> {
  const bytes = await readSmallFile(path, 'configuration', signal)
  try {
    return parseConfig(bytes.toString('utf8'), path)
  } finally {
    bytes.fill(0)
  }
}

/** All root secrets, read as Swift's own user. */
async function checkSecrets(
  { file, keyIds, options }: KeymasterConf,
  { env, warn, signal }: CheckRootKeyOptions,
): Promise<{ checks: ConfigCheck[]; error: VolsealError | undefined }> {
  const cloud = await openCloud({ env: variablesOf(options, env), warn, signal })
  const checks: ConfigCheck[] = []
  let error: VolsealError | undefined
  try {
    for (const [suffix, id] of keyIds) {
      const name = `root-secret ${suffix}`.trim()
      const base = {
        name: `${name} readable`,
        expected: 'readable by the user of the file',
        source: file,
      }
      try {
        const facts = await rootSecretFacts(cloud, id)
        checks.push({ ...base, result: 'pass', found: id }, ...checkRootSecret(suffix, facts))
      } catch (caught) {
        if (!(caught instanceof VolsealError) || caught.code === 'interrupted') throw caught
        error ??= caught
        checks.push({ ...base, result: 'fail', found: caught.message })
      }
    }
    checks.push(...(await endpointChecks(cloud, options)))
  } finally {
    await cloud.close()
  }
  return { checks, error }
}

/** None where keystone lets nobody in, which the root secrets have said already. */
async function endpointChecks(
  { session }: OpenCloud,
  options: KeymasterConf['options'],
): Promise<ConfigCheck[]> {
  try {
    return [checkEndpoint(options.get('barbican_endpoint'), await session.places('key-manager'))]
  } catch (error) {
    if (!(error instanceof VolsealError) || error.code === 'interrupted') throw error
    return []
  }
}

/** The options under the names that every OpenStack client knows. */
function variablesOf(options: ReadonlyMap<string, string>, env: Environment): Environment {
  const said = [...options].flatMap(([name, value]): [string, string][] =>
    IDENTITY.has(name) ? [[`OS_${name.toUpperCase()}`, value]] : [],
  )
  const barbican = options.get('barbican_endpoint')
  return {
    HOME: env['HOME'],
    OS_CACERT: env['OS_CACERT'],
    ...Object.fromEntries(said),
    OS_AUTH_URL: options.get('auth_endpoint'),
    ...(barbican === undefined ? {} : { OS_KEY_MANAGER_ENDPOINT_OVERRIDE: barbican }),
  }
}

const IDENTITY: ReadonlySet<string> = new Set([
  'username',
  'password',
  'user_id',
  'user_domain_id',
  'user_domain_name',
  'domain_id',
  'domain_name',
  'project_id',
  'project_name',
  'project_domain_id',
  'project_domain_name',
])

/** More than Swift puts into a database, and of a length that other objects hardly have. */
const LEAST_BYTES = 8192

async function writeObject(
  { swift }: OpenCloud,
  { devices, signal }: CheckRootKeyOptions,
): Promise<WrittenObject> {
  const container = `volseal-rootkey-check-${randomUUID()}`
  const object = 'object'
  const bytes = randomBytes(LEAST_BYTES + (randomBytes(2).readUInt16BE() % 4096))
  const since = Date.now()
  const undo = new Undo()
  undo.add({
    what: `the container ${container}`,
    byHand: `openstack container delete --recursive ${container}`,
    takeBack: async () => {
      await unlessGone(async () => await swift.delete(container, object))
      await unlessGone(async () => await deleteContainer(swift, container))
      return undefined
    },
  })
  try {
    await swift.createContainer(container, { signal })
    await swift.put(container, object, bytes, { signal })
    const same = (await swift.get(container, object, { signal })).equals(bytes)
    const found =
      devices === undefined ? null : await searchDevices(devices, { bytes, since }, signal)
    await undo.takeAll()
    return { container, object, size: bytes.length, devices: found, same }
  } catch (error) {
    throw await undo.all(error)
  }
}

/** Until the listing of the container has caught up, Swift says that it is not empty (409). */
async function deleteContainer(swift: OpenCloud['swift'], container: string): Promise<void> {
  for (let pause = 100; ; pause *= 2) {
    try {
      await swift.deleteContainer(container)
      return
    } catch (error) {
      if (!hasStatus(error, 409) || pause > LONGEST_PAUSE_MS) throw error
      await sleep(pause)
    }
  }
}

const LONGEST_PAUSE_MS = 5000

function checksOf({ same, devices }: WrittenObject): ConfigCheck[] {
  const returned: ConfigCheck = {
    name: 'object',
    result: same ? 'pass' : 'fail',
    expected: 'given back as it was written',
    found: same ? 'the same' : 'other bytes',
    source: 'an object written through the proxy',
  }
  if (devices === null) return [returned]
  const { files, candidates, clear } = devices
  const source = 'the files that changed since, of all devices'
  return [
    returned,
    {
      name: 'object-on-disk',
      result: candidates.length > 0 || clear.length > 0 ? 'pass' : 'fail',
      expected: 'a file of the object on these devices, or nothing is proven',
      found: candidates.length === 0 ? `none of ${files} files` : candidates.join(', '),
      source,
    },
    {
      name: 'object-not-in-clear',
      result: clear.length === 0 ? 'pass' : 'fail',
      expected: 'in clear in no file',
      found: clear.length === 0 ? `in none of ${files} files` : clear.join(', '),
      source,
    },
  ]
}
