import { resolve } from 'node:path'
import { VolsealError } from '../core/errors.js'
import type { ConfigCheck } from './config-check.js'
import type { ServiceConfig } from './service-config.js'

/** One piece of the proxy's pipeline, and what program it is. */
interface Piece {
  readonly name: string
  /** The egg's entry point (`encryption`), or the factory, or the name itself. */
  readonly kind: string
  readonly options: ReadonlyMap<string, string>
}

interface PipelineRule {
  readonly name: string
  readonly expected: string
  /** What is wrong, or undefined. */
  readonly wrong: (pipeline: readonly Piece[], keymasterConf: string) => string | undefined
  readonly source: string
}

const KEYMASTER = 'kms_keymaster'
const KEYMASTERS: ReadonlySet<string> = new Set([KEYMASTER, 'keymaster', 'kmip_keymaster'])
const AUTH: ReadonlySet<string> = new Set(['keystoneauth', 'tempauth', 'authtoken'])
const BEHIND_ENCRYPTION: ReadonlySet<string> = new Set(['proxy_logging', 'proxy-server', 'proxy'])
/** `config_true_value` (swift/common/utils.py). */
const TRUE = /^(?:true|1|yes|on|t|y)$/i
/** What the filter must leave to keymaster_config_path (kms_keymaster.py keymaster_opts). */
const KEYMASTER_OPTIONS =
  /^(?:username|password|project_name|user_domain_name|project_domain_name|user_id|user_domain_id|trust_id|domain_id|domain_name|project_id|project_domain_id|reauthenticate|auth_endpoint|api_class|key_id.*|barbican_endpoint|active_root_secret_id)$/

const GUIDE = 'Swift, "Object Encryption" (overview_encryption), deployment'

const RULES: readonly PipelineRule[] = [
  {
    name: 'encryption',
    expected: 'the filter encryption, once',
    wrong: (pipeline) => once(pipeline, new Set(['encryption'])),
    source: GUIDE,
  },
  {
    name: 'keymaster',
    expected: 'the filter kms_keymaster, and no other keymaster',
    wrong: (pipeline) => once(pipeline, new Set([KEYMASTER])) ?? once(pipeline, KEYMASTERS),
    source: 'swift/common/middleware/crypto/kms_keymaster.py',
  },
  {
    name: 'keymaster-before-encryption',
    expected: 'kms_keymaster directly before encryption',
    wrong: (pipeline) => {
      const [keymaster, encryption] = [at(pipeline, KEYMASTER), at(pipeline, 'encryption')]
      if (keymaster === -1 || encryption === -1 || encryption === keymaster + 1) return undefined
      return order(pipeline, Math.min(keymaster, encryption), Math.max(keymaster, encryption) + 1)
    },
    source: GUIDE,
  },
  {
    name: 'authentication-before-keymaster',
    expected: 'authentication (authtoken keystoneauth, or tempauth) before kms_keymaster',
    wrong: (pipeline) => {
      const auth = pipeline.findLastIndex(({ kind }) => AUTH.has(kind))
      const keymaster = at(pipeline, KEYMASTER)
      if (auth === -1) return 'no authentication'
      return keymaster === -1 || auth < keymaster ? undefined : order(pipeline, keymaster, auth + 1)
    },
    source: GUIDE,
  },
  {
    name: 'encryption-last',
    expected: 'nothing but proxy-logging between encryption and the proxy server',
    wrong: (pipeline) => {
      const encryption = at(pipeline, 'encryption')
      if (encryption === -1) return undefined
      // copy, slo, dlo and versioned_writes would work on ciphertext (keymaster.py fetch_crypto_keys).
      const behind = pipeline
        .slice(encryption + 1)
        .filter(({ kind }) => !BEHIND_ENCRYPTION.has(kind))
      if (behind.length > 0) return `${behind.map(({ name }) => name).join(', ')} behind it`
      return pipeline.at(-1)?.kind === 'proxy' ? undefined : 'no proxy server at the end'
    },
    source: GUIDE,
  },
  {
    name: 'enabled',
    expected: 'disable_encryption not set',
    wrong: (pipeline) => {
      const { options } = pipeline[at(pipeline, 'encryption')] ?? {}
      const value = options?.get('disable_encryption')
      return value !== undefined && TRUE.test(value) ? `disable_encryption = ${value}` : undefined
    },
    source: 'swift/common/middleware/crypto/__init__.py',
  },
  {
    name: 'keymaster-config-path',
    expected:
      'keymaster_config_path naming the checked file, and none of its options in the filter',
    wrong: (pipeline, keymasterConf) => {
      const { options } = pipeline[at(pipeline, KEYMASTER)] ?? {}
      if (options === undefined) return undefined
      const path = options.get('keymaster_config_path')
      if (path === undefined) return 'no keymaster_config_path'
      const doubled = [...options.keys()].filter((name) => KEYMASTER_OPTIONS.test(name))
      if (doubled.length > 0) return `${doubled.join(', ')} in the filter as well`
      return resolve(path) === resolve(keymasterConf) ? undefined : path
    },
    source: 'swift/common/middleware/crypto/keymaster.py _load_keymaster_config_file',
  },
]

/**
 * Checks the pipeline of proxy-server.conf.
 *
 * @throws {VolsealError} `usage` for a file without a pipeline, or with one that names what is not there
 */
export function checkPipeline(proxy: ServiceConfig, keymasterConf: string): ConfigCheck[] {
  const pipeline = readPipeline(proxy)
  return RULES.map(({ name, expected, wrong, source }) => {
    const found = wrong(pipeline, keymasterConf)
    return {
      name,
      result: found === undefined ? 'pass' : 'fail',
      expected,
      found: found ?? 'as expected',
      source,
    }
  })
}

function readPipeline({ file, sections }: ServiceConfig): Piece[] {
  const text = sections.get('pipeline:main')?.get('pipeline')
  if (text === undefined) {
    throw new VolsealError('usage', `${file}: expected pipeline in [pipeline:main]`, {
      hint: 'is it the configuration of the proxy server?',
    })
  }
  const defaults = sections.get('DEFAULT') ?? new Map<string, string>()
  return text
    .split(/\s+/)
    .filter(Boolean)
    .map((name) => {
      const section = sections.get(`filter:${name}`) ?? sections.get(`app:${name}`)
      if (section === undefined) {
        throw new VolsealError('usage', `${file}: the pipeline names ${name}, which has no section`)
      }
      return { name, kind: kindOf(section, name), options: new Map([...defaults, ...section]) }
    })
}

/** `egg:swift#encryption`, or `paste.filter_factory = keystonemiddleware.auth_token:filter_factory`. */
function kindOf(section: ReadonlyMap<string, string>, name: string): string {
  const egg = section.get('use')?.split('#')[1]
  if (egg !== undefined) return egg
  const factory = section.get('paste.filter_factory') ?? ''
  return factory.includes('auth_token') ? 'authtoken' : name
}

function at(pipeline: readonly Piece[], kind: string): number {
  return pipeline.findIndex((piece) => piece.kind === kind)
}

function once(pipeline: readonly Piece[], kinds: ReadonlySet<string>): string | undefined {
  const found = pipeline.filter(({ kind }) => kinds.has(kind)).map(({ name }) => name)
  if (found.length === 1) return undefined
  return found.length === 0 ? 'none' : found.join(', ')
}

function order(pipeline: readonly Piece[], from: number, end: number): string {
  return pipeline
    .slice(from, end)
    .map(({ name }) => name)
    .join(' ')
}
