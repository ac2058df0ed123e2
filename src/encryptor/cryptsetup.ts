import { type CommandOptions, type CommandResult, lastLine, runCommand } from '../core/command.js'
import { type ErrorCode, VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import { TOKEN_TYPE } from './header/volume-token.js'

/** The two LUKS formats that OpenStack calls providers; `luks` is LUKS1 on disk, as in os-brick. */
export type Provider = 'luks' | 'luks2'

export const PROVIDERS: readonly Provider[] = ['luks', 'luks2']

/**
 * How dear a passphrase is to guess. `fast` is PBKDF2 with 1000 iterations, for keys that were
 * drawn at random: there is nothing to guess in 128 bits and more, and opening takes 0.01 s and
 * 8 MB instead of seconds and up to 1 GB. `default` is cryptsetup's own choice.
 */
export type Pbkdf = 'fast' | 'default' | 'pbkdf2' | 'argon2i' | 'argon2id'

export const PBKDFS: readonly Pbkdf[] = ['fast', 'default', 'pbkdf2', 'argon2i', 'argon2id']

export const DEFAULT_CIPHER = 'aes-xts-plain64'
/** XTS takes two keys: AES-256. */
export const XTS_KEY_BITS = 512
/**
 * Images bring partition tables made for 512-byte sectors; on a mapping with larger ones (what
 * cryptsetup chooses for files and 4K disks) their partitions are not found.
 */
export const DEFAULT_SECTOR_SIZE = 512

export interface FormatPlan {
  readonly provider: Provider
  readonly pbkdf: Pbkdf
  /** Such as `aes-xts-plain64`. */
  readonly cipher: string
  /** Bits of the volume key; undefined leaves it to cryptsetup. */
  readonly keySize: number | undefined
  /** Bytes that are encrypted as one; LUKS2 alone knows others than 512. */
  readonly sectorSize: number
}

const ON_DISK: Readonly<Record<Provider, string>> = { luks: 'luks1', luks2: 'luks2' }

/** How a keyslot's key derivation is chosen, for every cryptsetup action that makes one. */
export const PBKDF_OPTIONS: Readonly<Record<Pbkdf, readonly string[]>> = {
  fast: ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000'],
  default: [],
  pbkdf2: ['--pbkdf', 'pbkdf2'],
  argon2i: ['--pbkdf', 'argon2i'],
  argon2id: ['--pbkdf', 'argon2id'],
}

/** `cryptsetup luksFormat` of a device or file, the passphrase on standard input. */
export function formatArgs(path: string, plan: FormatPlan): string[] {
  return [
    'luksFormat',
    '--batch-mode',
    '--type',
    ON_DISK[plan.provider],
    '--key-file=-',
    '--cipher',
    plan.cipher,
    ...(plan.keySize === undefined ? [] : ['--key-size', String(plan.keySize)]),
    ...PBKDF_OPTIONS[plan.pbkdf],
    ...(plan.provider === 'luks2' ? ['--sector-size', String(plan.sectorSize)] : []),
    path,
  ]
}

/**
 * Does the passphrase open a slot? Needs no device-mapper. cryptsetup tries the tokens of a header
 * before the passphrase, so that a forged one lets any key open it: a copy that was judged has none
 * (`header-copy.ts`), and on a device only tokens of our own type are eligible, which fetch no key.
 */
export function testArgs(path: string, header?: string): string[] {
  const tokens = header === undefined ? ['--token-type', TOKEN_TYPE] : at(header)
  return ['open', '--type', 'luks', '--test-passphrase', '--key-file=-', ...tokens, path]
}

export function openArgs(path: string, mapping: string, header?: string): string[] {
  return ['open', '--type', 'luks', '--key-file=-', ...at(header), path, mapping]
}

/** A header that is elsewhere than on the device. */
function at(header: string | undefined): string[] {
  return header === undefined ? [] : ['--header', header]
}

/**
 * cryptsetup's exit codes (cryptsetup(8) RETURN CODES). 1 stands for wrong parameters and for
 * everything unclassified, a read error among them: it proves nothing about the device.
 */
const EXIT_CODES: Readonly<Record<number, ErrorCode>> = {
  1: 'io',
  2: 'wrong-key',
  3: 'unavailable',
  4: 'no-device',
  5: 'busy',
}

export interface CryptsetupOptions
  extends Pick<CommandOptions, 'signal' | 'mustEnd' | 'gently' | 'onOutput' | 'env'> {
  readonly passphrase?: Secret | undefined
}

/**
 * Runs cryptsetup and turns any failure into an error with `what` in front.
 *
 * @throws {VolsealError}
 */
export async function cryptsetup(
  args: readonly string[],
  what: string,
  options: CryptsetupOptions = {},
): Promise<CommandResult> {
  const { passphrase, ...rest } = options
  const result = await runCommand('cryptsetup', args, { input: passphrase, ...rest })
  if (result.exitCode === 0) return result
  throw failure(result, what)
}

/** What a wrong key is told in the middle of a reencryption, with 1. */
const NO_KEYSLOT = 'No usable keyslot is available.'

function codeOf({ exitCode }: CommandResult): ErrorCode {
  return EXIT_CODES[exitCode ?? 1] ?? 'io'
}

function failure(result: CommandResult, what: string): VolsealError {
  const code = lastLine(result) === NO_KEYSLOT ? 'wrong-key' : codeOf(result)
  if (code === 'wrong-key') {
    return new VolsealError('wrong-key', `${what}: the key does not open it`, {
      hint: 'is it the key id that the volume was formatted with?',
    })
  }
  return new VolsealError(code, `${what}: ${lastLine(result)}`)
}
