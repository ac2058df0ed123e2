import { type Extension, KeyUsageFlags, KeyUsagesExtension } from './library.js'

/** What a key may do, in an extension (RFC 5280 §4.2.1.3): a signer signs data, and nothing else. */
export function signerUsage(): Extension {
  return new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true)
}

/** A CA signs certificates and CRLs, and nothing else. */
export function caUsage(): Extension {
  // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- flags are made to be joined
  return new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)
}

const USAGES: readonly (readonly [KeyUsageFlags, string])[] = [
  [KeyUsageFlags.digitalSignature, 'digitalSignature'],
  [KeyUsageFlags.nonRepudiation, 'nonRepudiation'],
  [KeyUsageFlags.keyEncipherment, 'keyEncipherment'],
  [KeyUsageFlags.dataEncipherment, 'dataEncipherment'],
  [KeyUsageFlags.keyAgreement, 'keyAgreement'],
  [KeyUsageFlags.keyCertSign, 'keyCertSign'],
  [KeyUsageFlags.cRLSign, 'cRLSign'],
  [KeyUsageFlags.encipherOnly, 'encipherOnly'],
  [KeyUsageFlags.decipherOnly, 'decipherOnly'],
]

/** The names of RFC 5280. */
export function usageNames(flags: KeyUsageFlags): string[] {
  return USAGES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name)
}
