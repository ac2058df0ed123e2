import type { JudgedHeader } from '../header/judge-header.js'

/** Of a key that nobody has named, since it came in a file. */
export const NO_KEY_ID = 'unknown'

/**
 * The header's token is a hint from storage that others can write to: compared, never believed.
 *
 * @param keyId of the key that has opened the volume, or that the caller names for one that is open
 * @param volumeId what the caller calls the volume, if that was said
 */
export function tokenWarnings(
  { token }: JudgedHeader,
  { keyId, hasOpened }: { readonly keyId: string; readonly hasOpened: boolean },
  volumeId: string | undefined,
): string[] {
  if (token === undefined) return []
  const warnings: string[] = []
  if (token.keyId !== keyId && keyId !== NO_KEY_ID) {
    const given = hasOpened ? 'the one that was given opened it' : `${keyId} was not tried`
    warnings.push(`the header names another key, ${token.keyId}; ${given}`)
  }
  if (volumeId !== undefined && token.volumeId !== volumeId) {
    warnings.push(`the header names another volume, ${token.volumeId}, as that of a clone does`)
  }
  return warnings
}
