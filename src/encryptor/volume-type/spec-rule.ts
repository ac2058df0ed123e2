import type { EncryptionFormat } from '../attach/encryption.js'
import type { BackEndKind, ReadSpec } from './encryption-spec.js'

/**
 * What becomes of a volume: `fails`: it cannot be made or attached; `clear`: it is there, cinder calls
 * it encrypted, and it is not; `note`: it works, but whoever chose it should know this.
 */
export type Effect = 'fails' | 'clear' | 'note'

/** One fact about encryption specs, as the services behave. */
export interface SpecRule {
  readonly code: string
  readonly backEnds: readonly BackEndKind[]
  readonly effect: Effect
  /** Which specs, in words. */
  readonly when: string
  readonly applies: (spec: ReadSpec) => boolean
  /** What happens, with the service's own message in quotes. */
  readonly what: (spec: ReadSpec) => string
  /** Where it stands: file and function, or the program and its version. */
  readonly source: string
}

/** What os-brick's and cinder's tables of old names make of a provider, as cinder prints it. */
const PYTHON_NAMES: Readonly<Record<EncryptionFormat | 'none', string>> = {
  luks: 'luks',
  luks2: 'luks2',
  plain: 'plain',
  none: 'None',
}

/** Class paths are no old names: what loads them is os-brick's import of anything (no whitelist). */
const CLASS_PATHS: ReadonlySet<string> = new Set([
  'os_brick.encryptors.luks.Luks2Encryptor',
  'os_brick.encryptors.nop.NoOpEncryptor',
])

export function cinderName({ provider, format }: ReadSpec): string {
  return format === undefined || CLASS_PATHS.has(provider) ? provider : PYTHON_NAMES[format]
}

export function isLuks1({ format }: ReadSpec): boolean {
  return format === 'luks'
}

export function hasCipher({ parts }: ReadSpec): boolean {
  return parts > 0
}
