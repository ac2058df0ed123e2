import type { JudgedHeader } from '../header/judge-header.js'

/**
 * The header's token is a hint from storage that others can write to: compared, never believed.
 *
 * @param keyId of the key that has opened the volume
 * @param volumeId what the caller calls the volume, if that was said
 */
export function tokenWarnings(
  { token }: JudgedHeader,
  keyId: string,
  volumeId: string | undefined,
): string[] {
  if (token === undefined) return []
  const warnings: string[] = []
  if (token.keyId !== keyId) {
    warnings.push(`the header names another key, ${token.keyId}; the one that was given opened it`)
  }
  if (volumeId !== undefined && token.volumeId !== volumeId) {
    warnings.push(`the header names another volume, ${token.volumeId}, as that of a clone does`)
  }
  return warnings
}
