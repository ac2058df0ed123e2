import { fromBase64 } from '../core/bytes.js'
import { record } from '../core/check.js'
import { type ErrorCode, VolsealError } from '../core/errors.js'
import type { SecretInfo } from './key-manager.js'

/** The error for a file of the store that is not as it was written. */
export function damaged(path: string, reason: string, cause?: unknown): VolsealError {
  return new VolsealError('keystore-damaged', `${path}${IS_DAMAGED}${reason}`, {
    hint: 'restore it from a backup of the key store; volseal keystore check names all damage',
    cause,
  })
}

const IS_DAMAGED = ' is damaged: '

/** What is wrong with one file of a store. */
export interface DamagedFile {
  readonly path: string
  readonly reason: string
}

/** Some of the store's secrets are damaged; `report` has the others, and names the damaged. */
export class SecretsDamaged extends VolsealError {
  readonly report: {
    readonly secrets: readonly SecretInfo[]
    readonly damaged: readonly DamagedFile[]
  }

  constructor(secrets: readonly SecretInfo[], damagedFiles: readonly DamagedFile[]) {
    super('keystore-damaged', `damaged files in the key store: ${damagedFiles.length}`, {
      hint: 'restore them from a backup of the key store',
    })
    this.name = 'SecretsDamaged'
    this.report = { secrets, damaged: damagedFiles }
  }
}

/**
 * What is wrong with a file, when reading it fails with one of the codes; all else is thrown.
 *
 * @param read fails as `damaged` says it, or as reading a file does
 */
export async function damageOf(
  path: string,
  codes: readonly ErrorCode[],
  read: () => Promise<void>,
): Promise<DamagedFile | undefined> {
  try {
    await read()
    return undefined
  } catch (error) {
    if (!(error instanceof VolsealError) || !codes.includes(error.code)) throw error
    return { path, reason: reasonOf(error, path) }
  }
}

/** What is wrong with the file, without its name, from an error that says both. */
function reasonOf(error: VolsealError, path: string): string {
  const prefix = `${path}${IS_DAMAGED}`
  return error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message
}

/** What a parser refuses as a wrong value (`usage`) is damage when it stands in the store. */
export function parseStored<T>(path: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof VolsealError && error.code === 'usage') {
      throw damaged(path, error.message, error)
    }
    throw error
  }
}

/** Bytes of a field that holds base64. */
export function base64Field(value: unknown, name: string): Buffer {
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined
  if (bytes !== undefined) return bytes
  throw new VolsealError('usage', `${name}: expected base64, got something else`)
}

/** An object that may be null. */
export function nullable<T>(
  value: unknown,
  name: string,
  parse: (fields: Record<string, unknown>) => T,
): T | null {
  return value === null ? null : parse(record(value, name))
}
