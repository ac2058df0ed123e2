import { effectiveCipher } from '../header/describe-header.js'
import {
  BACK_END_KINDS,
  type BackEndKind,
  type ReadSpec,
  readSpec,
  SECRET_STORE_FACTS,
  type SecretStoreName,
  type TypeEncryption,
} from './encryption-spec.js'
import type { Effect, SpecRule } from './spec-rule.js'
import { SPEC_RULES } from './spec-rules.js'

/** What a rule says of one spec. */
export interface SpecFinding {
  readonly code: string
  readonly effect: Effect
  readonly message: string
  readonly source: string
}

/** What a spec gives on one kind of back end. */
export interface BackEndVerdict {
  readonly backEnd: BackEndKind
  /** `clear`: the volume is there, cinder calls it encrypted, and it is not. */
  readonly outcome: 'encrypted' | 'clear' | 'fails'
  /** What lies on the storage; null where nothing is encrypted. */
  readonly format: 'luks1' | 'luks2' | 'plain' | null
  /** Such as `AES-128-XTS`. */
  readonly effectiveCipher: string | null
  /** Bits of the volume key: with XTS those of both keys. */
  readonly volumeKeyBits: number | null
  /** Who decrypts it for an instance. */
  readonly opener: 'qemu' | 'dm-crypt' | null
  readonly findings: readonly SpecFinding[]
}

export interface JudgeSpecOptions {
  /** All of them when not given. */
  readonly backEnds?: readonly BackEndKind[] | undefined
  /** What Barbican keeps its secrets in, where it is known. */
  readonly secretStore?: SecretStoreName | undefined
}

/** What the spec gives on each kind of back end, by the table of rules. */
export function judgeSpec(
  spec: TypeEncryption,
  { backEnds = BACK_END_KINDS, secretStore }: JudgeSpecOptions = {},
): BackEndVerdict[] {
  const read = readSpec(spec)
  const hits = SPEC_RULES.filter((rule) => rule.applies(read)).map((rule) =>
    secretStore === undefined ? rule : inStore(rule, read, secretStore),
  )
  const known = hits.filter((rule) => rule !== undefined)
  return backEnds.map((backEnd) => verdictOn(backEnd, read, known))
}

function verdictOn(
  backEnd: BackEndKind,
  spec: ReadSpec,
  rules: readonly SpecRule[],
): BackEndVerdict {
  const hits = rules.filter((rule) => rule.backEnds.includes(backEnd))
  const findings = hits.map(({ code, effect, what, source }) => ({
    code,
    effect,
    message: what(spec),
    source,
  }))
  const has = (effect: Effect): boolean => findings.some((finding) => finding.effect === effect)
  if (has('fails')) return { backEnd, outcome: 'fails', ...NOTHING, findings }
  if (has('clear')) return { backEnd, outcome: 'clear', ...NOTHING, findings }
  return { backEnd, outcome: 'encrypted', ...encryptionOn(backEnd, spec), findings }
}

const NOTHING = { format: null, effectiveCipher: null, volumeKeyBits: null, opener: null } as const

type Encryption = Pick<BackEndVerdict, 'format' | 'effectiveCipher' | 'volumeKeyBits' | 'opener'>

/** qemu-img takes the key size for that of the cipher, and doubles it for XTS; cryptsetup does not. */
function encryptionOn(backEnd: BackEndKind, spec: ReadSpec): Encryption {
  const doubles = backEnd !== 'block' && spec.mode === 'xts'
  const volumeKeyBits = doubles ? spec.bits * 2 : spec.bits
  const cipher = spec.parts === 1 ? `${spec.algorithm}-cbc-plain` : (spec.cipher ?? '')
  return {
    format: spec.format === 'luks2' || spec.format === 'plain' ? spec.format : 'luks1',
    effectiveCipher: effectiveCipher({ cipher, keySize: volumeKeyBits }),
    volumeKeyBits,
    // nova lets QEMU decrypt provider luks (_use_native_luks), all others go through os-brick.
    opener: spec.format === 'luks' ? 'qemu' : 'dm-crypt',
  }
}

/** Where the secret store is known, a key that depends on it is drawn or not. */
function inStore(rule: SpecRule, spec: ReadSpec, name: SecretStoreName): SpecRule | undefined {
  if (rule.code !== 'key-depends-on-store') return rule
  if (SECRET_STORE_FACTS[name].draws(spec.algorithm, spec.bits)) return undefined
  const what = (): string =>
    `Barbican with ${name} draws no such key, and cinder makes no volume: "Key manager error"`
  return { ...rule, code: 'key-not-drawn', effect: 'fails', what }
}
