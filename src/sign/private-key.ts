import { createPrivateKey, type KeyObject } from 'node:crypto'
import { pemBlocks, toPem } from '../core/pem.js'
import { attempt, derOf, type Forge, keyOf, loadForge, passphraseBytes } from './forge.js'
import { encrypted, noKey, type PrivateKeyOptions, wrongPassphrase } from './key-errors.js'
import { isPkcs12, type KeyFile, readPkcs12 } from './pkcs12.js'

/**
 * Reads a private key: PKCS#8, PKCS#1, SEC 1 (EC) and OpenSSL's DSA form in PEM or DER by
 * node:crypto; PKCS#12, and the old PEM encryptions that OpenSSL 3 has retired (DES, RC2), by node-forge.
 *
 * @throws {VolsealError} `usage` when the key is encrypted and no passphrase was given;
 * `signature-malformed` for a wrong passphrase, or what is no private key.
 */
export async function readKeyFile(content: Buffer, options: PrivateKeyOptions): Promise<KeyFile> {
  if (isPkcs12(content)) return await readPkcs12(content, options)
  return { key: await readBareKey(content, options), certificate: undefined }
}

async function readBareKey(content: Buffer, options: PrivateKeyOptions): Promise<KeyObject> {
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

function readLegacyPem(text: string, options: PrivateKeyOptions, loaded: Forge): KeyObject {
  const { pki } = loaded
  const key = attempt(() => pki.decryptRsaPrivateKey(text, passphraseBytes(options)))
  if (key === null || key === undefined) throw wrongPassphrase(options)
  return keyOf(derOf(loaded, pki.privateKeyToAsn1(key)), 'pkcs1', options)
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
