import { createPrivateKey, type KeyObject } from 'node:crypto'
import type forge from 'node-forge'
import { VolsealError } from '../core/errors.js'
import { pemBlocks, toPem } from '../core/pem.js'
import type { Secret } from '../core/secret.js'

/**
 * Reading private keys: PKCS#8, PKCS#1, SEC 1 (EC) and OpenSSL's DSA form in PEM or DER by
 * node:crypto; PKCS#12, and the old PEM encryptions that OpenSSL 3 has retired (DES, RC2), by node-forge. The only importer of
 * node-forge, which reads here and does nothing else: every key goes on as a KeyObject. It is loaded
 * when such a key comes.
 */
type Forge = typeof forge

async function loadForge(): Promise<Forge> {
  const { default: loaded } = await import('node-forge')
  return loaded
}

export interface PrivateKeyOptions {
  /** For an encrypted key; the caller wipes it. */
  passphrase?: Secret | undefined
  /** How errors call it. */
  name: string
}

/**
 * @throws {VolsealError} `usage` when the key is encrypted and no passphrase was given;
 * `signature-malformed` for a wrong passphrase, or what is no private key.
 */
export async function readPrivateKey(
  content: Buffer,
  options: PrivateKeyOptions,
): Promise<KeyObject> {
  if (isPkcs12(content)) return readPkcs12(content, options, await loadForge())
  if (content[0] === DER_SEQUENCE) return readDer(content, options)
  const block = pemBlocks(content.toString('latin1')).find(({ label }) => KEY_LABEL.test(label))
  if (block === undefined) throw noKey(options, 'no PEM block of a private key')
  if (block.label === 'OPENSSH PRIVATE KEY') {
    throw noKey(options, "one in OpenSSH's own format", undefined, OPENSSH_HINT)
  }
  return await readPem(block.text, options)
}

const OPENSSH_HINT = 'turn a copy of it into PEM: ssh-keygen -p -m PEM -f COPY'
const KEY_LABEL = /PRIVATE KEY$/
const DER_SEQUENCE = 0x30
const ENCRYPTED = /^Proc-Type: 4,ENCRYPTED|BEGIN ENCRYPTED PRIVATE KEY/m

async function readPem(text: string, options: PrivateKeyOptions): Promise<KeyObject> {
  if (ENCRYPTED.test(text) && options.passphrase === undefined) throw encrypted(options)
  try {
    return createPrivateKey({ key: text, format: 'pem', ...passphraseOf(options) })
  } catch (error) {
    if (!ENCRYPTED.test(text)) throw noKey(options, 'a damaged or unknown one', error)
    if (isUnsupported(error)) return await readRetiredPem(text, options)
    throw wrongPassphrase(options, error)
  }
}

function passphraseOf({ passphrase }: PrivateKeyOptions): { passphrase?: Buffer } {
  return passphrase === undefined ? {} : { passphrase: passphrase.bytes() }
}

/** What OpenSSL 3 says of ciphers that live in its legacy provider. */
function isUnsupported(error: unknown): boolean {
  return error instanceof Error && /unsupported|unknown cipher|fetch/i.test(error.message)
}

/** node-forge decrypts RSA keys only. */
async function readRetiredPem(text: string, options: PrivateKeyOptions): Promise<KeyObject> {
  if (text.includes('BEGIN RSA ')) return readLegacyPem(text, options, await loadForge())
  throw noKey(options, 'one encrypted in a way that OpenSSL has retired', undefined, RETIRED_HINT)
}

const RETIRED_HINT =
  'turn it into PKCS#8: openssl pkcs8 -topk8 -in KEY -out NEW -provider legacy -provider default'

function readLegacyPem(text: string, options: PrivateKeyOptions, { asn1, pki }: Forge): KeyObject {
  const key = attempt(() => pki.decryptRsaPrivateKey(text, passphraseBytes(options)))
  if (key === null || key === undefined) throw wrongPassphrase(options)
  return fromDer(asn1.toDer(pki.privateKeyToAsn1(key)), 'pkcs1', options)
}

function readDer(content: Buffer, options: PrivateKeyOptions): KeyObject {
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    const key = attempt(() =>
      createPrivateKey({ key: content, format: 'der', type, ...passphraseOf(options) }),
    )
    if (key !== undefined) return key
  }
  // DSA's own form has no type of its own there; as PEM it has.
  const dsa = attempt(() => createPrivateKey(toPem('DSA PRIVATE KEY', content)))
  if (dsa !== undefined) return dsa
  throw noKey(options, 'DER that is none, or is encrypted with another passphrase')
}

/** PFX ::= SEQUENCE { version INTEGER 3, authSafe SEQUENCE … } (RFC 7292 §4): nothing else begins so. */
function isPkcs12(content: Buffer): boolean {
  if (content[0] !== DER_SEQUENCE) return false
  const first = content[1] ?? 0
  const header = first > 0x80 ? 2 + (first & 0x7f) : 2
  return content.subarray(header, header + 4).equals(Buffer.of(0x02, 0x01, 0x03, 0x30))
}

function readPkcs12(content: Buffer, options: PrivateKeyOptions, loaded: Forge): KeyObject {
  const { asn1, pki } = loaded
  const pfx = attempt(() => asn1.fromDer(content.toString('latin1')))
  if (pfx === undefined) throw noKey(options, 'a damaged PKCS#12 file')
  if (macIterations(pfx) > MOST_MAC_ITERATIONS) {
    throw noKey(options, 'a PKCS#12 file that would take too long to check')
  }
  const bags = openPkcs12(pfx, options, loaded)
  if (bags.length !== 1) throw noKey(options, `a PKCS#12 file with ${bags.length} keys`)
  const bag = bags[0]
  // forge knows RSA only; for any other key it hands out the PrivateKeyInfo that it found.
  if (bag?.key !== null && bag?.key !== undefined) {
    return fromDer(asn1.toDer(pki.privateKeyToAsn1(bag.key)), 'pkcs1', options)
  }
  if (bag?.asn1 === undefined) throw noKey(options, 'a PKCS#12 key that cannot be read')
  return fromDer(asn1.toDer(bag.asn1), 'pkcs8', options)
}

/** forge counts in JavaScript: a million are some seconds, and nothing can interrupt it. */
const MOST_MAC_ITERATIONS = 1_000_000

/** MacData ::= SEQUENCE { mac, macSalt, iterations INTEGER DEFAULT 1 } (RFC 7292 §4). */
function macIterations({ value }: forge.asn1.Asn1): number {
  const macData = Array.isArray(value) ? value[2]?.value : undefined
  const iterations = Array.isArray(macData) ? macData[2]?.value : undefined
  if (typeof iterations !== 'string') return 1
  return Number(`0x${Buffer.from(iterations, 'latin1').toString('hex') || '1'}`)
}

function openPkcs12(
  pfx: forge.asn1.Asn1,
  options: PrivateKeyOptions,
  loaded: Forge,
): forge.pkcs12.Bag[] {
  if (options.passphrase === undefined) {
    const bags = attempt(() => keyBags(pfx, '', loaded))
    if (bags === undefined) throw encrypted(options)
    return bags
  }
  try {
    return keyBags(pfx, passphraseText(options), loaded)
  } catch (error) {
    const isMacWrong = error instanceof Error && error.message.includes('MAC')
    if (isMacWrong) throw wrongPassphrase(options, error)
  }
  // The MAC, made over UTF-16, holds; but PBES2 wants UTF-8 (RFC 8018 §3), and forge gives it one
  // byte a character. So once more with the bytes, and without the MAC, which is checked.
  const bags = attempt(() => keyBags(withoutMac(pfx), passphraseBytes(options), loaded))
  if (bags === undefined) throw wrongPassphrase(options)
  return bags
}

function keyBags(
  pfx: forge.asn1.Asn1,
  passphrase: string,
  { pkcs12, pki }: Forge,
): forge.pkcs12.Bag[] {
  const p12 = pkcs12.pkcs12FromAsn1(pfx, false, passphrase)
  const { pkcs8ShroudedKeyBag = '', keyBag = '' } = pki.oids
  return [pkcs8ShroudedKeyBag, keyBag].flatMap((bagType) => p12.getBags({ bagType })[bagType] ?? [])
}

/** PFX ::= SEQUENCE { version, authSafe, macData OPTIONAL } (RFC 7292 §4). */
function withoutMac(pfx: forge.asn1.Asn1): forge.asn1.Asn1 {
  return Array.isArray(pfx.value) ? { ...pfx, value: pfx.value.slice(0, 2) } : pfx
}

/**
 * forge takes passwords as strings only, which cannot be wiped: one character a byte for the old
 * PEM encryption, and text for PKCS#12, which makes UTF-16 of it.
 */
function passphraseBytes({ passphrase }: PrivateKeyOptions): string {
  return passphrase?.bytes().toString('latin1') ?? ''
}

function passphraseText({ passphrase }: PrivateKeyOptions): string {
  return passphrase?.bytes().toString('utf8') ?? ''
}

function fromDer(
  encoded: forge.util.ByteStringBuffer,
  type: 'pkcs1' | 'pkcs8',
  options: PrivateKeyOptions,
): KeyObject {
  const der = Buffer.from(encoded.getBytes(), 'latin1')
  try {
    return createPrivateKey({ key: der, format: 'der', type })
  } catch (error) {
    throw noKey(options, 'one that OpenSSL cannot read', error)
  } finally {
    der.fill(0)
  }
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

function noKey(
  { name }: PrivateKeyOptions,
  got: string,
  cause?: unknown,
  hint = 'PKCS#8, PKCS#1, EC and DSA keys in PEM or DER, and PKCS#12 files, can be read',
): VolsealError {
  return new VolsealError('signature-malformed', `${name}: expected a private key, got ${got}`, {
    cause,
    hint,
  })
}

/** The key is encrypted: who has a terminal may ask for its passphrase. */
export class PassphraseMissing extends VolsealError {
  constructor(name: string) {
    super('usage', `${name} is encrypted, and no passphrase was given`, {
      hint: 'give it with --passphrase-file FILE (or - for standard input), or --passphrase-fd N',
    })
    this.name = 'PassphraseMissing'
  }
}

function encrypted({ name }: PrivateKeyOptions): VolsealError {
  return new PassphraseMissing(name)
}

function wrongPassphrase({ name }: PrivateKeyOptions, cause?: unknown): VolsealError {
  return new VolsealError('signature-malformed', `${name}: the passphrase does not open it`, {
    cause,
  })
}
