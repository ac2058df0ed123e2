import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import {
  type Asn1,
  attempt,
  type Bag,
  derOf,
  type Forge,
  keyOf,
  loadForge,
  passphraseBytes,
  passphraseText,
} from './forge.js'
import { encrypted, noKey, type PrivateKeyOptions, wrongPassphrase } from './key-errors.js'

/** A private key, and the certificate that its file holds for it, in DER. */
export interface KeyFile {
  readonly key: KeyObject
  readonly certificate: Buffer | undefined
}

const SEQUENCE = 0x30

/** PFX ::= SEQUENCE { version INTEGER 3, authSafe SEQUENCE … } (RFC 7292 §4): nothing else begins so. */
export function isPkcs12(content: Buffer): boolean {
  if (content[0] !== SEQUENCE) return false
  const first = content[1] ?? 0
  const header = first > 0x80 ? 2 + (first & 0x7f) : 2
  return content.subarray(header, header + 4).equals(Buffer.of(0x02, 0x01, 0x03, 0x30))
}

/**
 * The one key of a PKCS#12 file, and the certificate in it that is the key's.
 *
 * @throws {VolsealError} as `readKeyFile`
 */
export async function readPkcs12(content: Buffer, options: PrivateKeyOptions): Promise<KeyFile> {
  const loaded = await loadForge()
  const { asn1 } = loaded
  const pfx = attempt(() => asn1.fromDer(content.toString('latin1')))
  if (pfx === undefined) throw noKey(options, 'a damaged PKCS#12 file')
  if (macIterations(pfx) > MOST_MAC_ITERATIONS) {
    throw noKey(options, 'a PKCS#12 file that would take too long to check')
  }
  const { keys, certificates } = openPkcs12(pfx, options, loaded)
  const [bag] = keys
  if (bag === undefined || keys.length > 1) {
    throw noKey(options, `a PKCS#12 file with ${keys.length} keys`)
  }
  const key = keyIn(bag, options, loaded)
  return { key, certificate: certificateOf(key, certificates, loaded) }
}

function keyIn(bag: Bag, options: PrivateKeyOptions, loaded: Forge): KeyObject {
  // forge knows RSA only; for any other key it hands out the PrivateKeyInfo that it found.
  if (bag.key !== null && bag.key !== undefined) {
    return keyOf(derOf(loaded, loaded.pki.privateKeyToAsn1(bag.key)), 'pkcs1', options)
  }
  if (bag.asn1 === undefined) throw noKey(options, 'a PKCS#12 key that cannot be read')
  return keyOf(derOf(loaded, bag.asn1), 'pkcs8', options)
}

/** The file may hold the CAs' certificates too; the key's is told by its public key. */
function certificateOf(key: KeyObject, bags: readonly Bag[], loaded: Forge): Buffer | undefined {
  const publicKey = createPublicKey(key)
  const ders = bags.flatMap((bag) => attempt(() => certificateIn(bag, loaded)) ?? [])
  return ders.find((der) => attempt(() => new X509Certificate(der).publicKey.equals(publicKey)))
}

function certificateIn(bag: Bag, loaded: Forge): Buffer {
  const { cert, asn1: unread } = bag
  if (cert !== null && cert !== undefined) return derOf(loaded, loaded.pki.certificateToAsn1(cert))
  if (unread === undefined) throw new TypeError('no certificate')
  return derOf(loaded, unread)
}

/** forge counts in JavaScript: a million are some seconds, and nothing can interrupt it. */
const MOST_MAC_ITERATIONS = 1_000_000

/** MacData ::= SEQUENCE { mac, macSalt, iterations INTEGER DEFAULT 1 } (RFC 7292 §4). */
function macIterations({ value }: Asn1): number {
  const macData = Array.isArray(value) ? value[2]?.value : undefined
  const iterations = Array.isArray(macData) ? macData[2]?.value : undefined
  if (typeof iterations !== 'string') return 1
  return Number(`0x${Buffer.from(iterations, 'latin1').toString('hex') || '1'}`)
}

interface Bags {
  readonly keys: readonly Bag[]
  readonly certificates: readonly Bag[]
}

function openPkcs12(pfx: Asn1, options: PrivateKeyOptions, loaded: Forge): Bags {
  if (options.passphrase === undefined) {
    const bags = attempt(() => bagsOf(pfx, '', loaded))
    if (bags === undefined) throw encrypted(options)
    return bags
  }
  try {
    return bagsOf(pfx, passphraseText(options), loaded)
  } catch (error) {
    const isMacWrong = error instanceof Error && error.message.includes('MAC')
    if (isMacWrong) throw wrongPassphrase(options, error)
  }
  // The MAC, made over UTF-16, holds; but PBES2 wants UTF-8 (RFC 8018 §3), and forge gives it one
  // byte a character. So once more with the bytes, and without the MAC, which is checked.
  const bags = attempt(() => bagsOf(withoutMac(pfx), passphraseBytes(options), loaded))
  if (bags === undefined) throw wrongPassphrase(options)
  return bags
}

function bagsOf(pfx: Asn1, passphrase: string, { pkcs12, pki }: Forge): Bags {
  const p12 = pkcs12.pkcs12FromAsn1(pfx, false, passphrase)
  const { pkcs8ShroudedKeyBag = '', keyBag = '', certBag = '' } = pki.oids
  const ofType = (bagType: string): Bag[] => p12.getBags({ bagType })[bagType] ?? []
  return {
    keys: [...ofType(pkcs8ShroudedKeyBag), ...ofType(keyBag)],
    certificates: ofType(certBag),
  }
}

/** PFX ::= SEQUENCE { version, authSafe, macData OPTIONAL } (RFC 7292 §4). */
function withoutMac(pfx: Asn1): Asn1 {
  return Array.isArray(pfx.value) ? { ...pfx, value: pfx.value.slice(0, 2) } : pfx
}
