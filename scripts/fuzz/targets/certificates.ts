import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashMethod, KEY_TYPES } from '../../../src/core/algorithms.js'
import {
  describeKey,
  keyMisfit,
  readCertificate,
  summarize,
} from '../../../src/core/certificate.js'
import { pemBlocks, toPem } from '../../../src/core/pem.js'
import { PROFILES } from '../../../src/core/profiles.js'
import { Secret } from '../../../src/core/secret.js'
import { makeSigner } from '../../../src/sign/index.js'
import { readKeyFile } from '../../../src/sign/private-key.js'
import { judgeCertificate } from '../../../src/verify/check-certificate.js'
import { output } from '../../harness/program.js'
import { hold, type Target } from '../target.js'

export const CERTIFICATE_TARGETS: readonly Target[] = [
  { name: 'certificate', seeds: makeCertificates, run: readAndJudge },
  { name: 'pem', seeds: () => PEM_TEXTS.map((text) => Buffer.from(text)), run: readBlocks },
  { name: 'private-key', seeds: makePrivateKeys, run: async (bytes) => await readKey(bytes) },
  {
    name: 'pkcs12',
    seeds: makePkcs12,
    run: async (bytes) => {
      await readKey(bytes, new Secret(Buffer.from(PASSPHRASE)))
    },
  },
  {
    name: 'encrypted-key',
    seeds: makePrivateKeys,
    run: async (bytes) => {
      await readKey(bytes, new Secret(Buffer.from(PASSPHRASE)))
    },
  },
]

function makeKeys(): KeyObject[] {
  return [
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'sect571k1' }).privateKey,
    generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }).privateKey,
    generateKeyPairSync('ed25519').privateKey,
    generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey,
  ]
}

/** PEM and DER of each. */
async function makeCertificates(directory: string): Promise<Buffer[]> {
  const made: Buffer[] = []
  const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const name = ['-subj', '/O=Example/CN=image signing', '-addext', 'keyUsage=digitalSignature']
  for (const key of makeKeys()) {
    await writeFile(keyFile, key.export({ type: 'pkcs8', format: 'pem' }))
    await output(['openssl', 'req', '-x509', '-new', '-key', keyFile, '-out', certFile, ...name])
    const pem = await readFile(certFile)
    made.push(pem, ...pemBlocks(pem.toString()).map(({ der }) => der))
  }
  return made
}

const ONE_BYTE = Buffer.alloc(1)

function readAndJudge(bytes: Buffer): void {
  const certificate = readCertificate(bytes, 'cert.pem')
  const summary = summarize(certificate)
  hold(/^[0-9a-f]{64}$/.test(certificate.fingerprint), 'the fingerprint is SHA-256')
  hold(!summary.subject.includes('\n'), 'the subject is on one line')
  hold(pemBlocks(certificate.pem).length === 1, 'its PEM is one block')
  const again = readCertificate(Buffer.from(certificate.pem), 'again')
  hold(again.fingerprint === certificate.fingerprint, 'its PEM is the same certificate')
  const hash = hashMethod('SHA-256')
  for (const type of KEY_TYPES) {
    const judged = judgeCertificate(
      { certificate, trust: 'none', id: null },
      {
        signature: { keyType: type, hash, signature: ONE_BYTE },
        profile: PROFILES.strict,
        at: new Date(),
      },
    )
    hold(judged.at(-1)?.refusal !== undefined, 'nobody vouches for it')
  }
}

const PEM_TEXTS = [
  toPem('CERTIFICATE', Buffer.alloc(100, 7)) + toPem('EC PRIVATE KEY', Buffer.alloc(200, 9)),
  `Bag Attributes\n${toPem('PRIVATE KEY', Buffer.alloc(48, 1))}`,
  '-----BEGIN X-----\n-----END X-----\n',
  '-----BEGIN X-----\n',
  '-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00\n\nAAAA\n-----END A-----\n',
]

function readBlocks(bytes: Buffer): void {
  for (const { label, der, text } of pemBlocks(bytes.toString('latin1'))) {
    hold(label !== '' && text.startsWith(`-----BEGIN ${label}-----`), 'a block has its label')
    const [again] = pemBlocks(toPem(label, der))
    hold(again?.label === label && again.der.equals(der), 'a block that is written is read again')
  }
}

const PASSPHRASE = 'pass'

async function makePrivateKeys(directory: string): Promise<Buffer[]> {
  const made: Buffer[] = []
  for (const key of makeKeys()) {
    const pkcs8 = { type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: PASSPHRASE } as const
    made.push(Buffer.from(key.export({ ...pkcs8, format: 'pem' })))
    made.push(key.export({ ...pkcs8, format: 'der' }))
    made.push(Buffer.from(key.export({ type: 'pkcs8', format: 'pem' })))
    made.push(key.export({ type: 'pkcs8', format: 'der' }))
    made.push(...traditional(key))
  }
  return [...made, await makeLegacyPem(directory), ...(await makePkcs12(directory))]
}

function traditional(key: KeyObject): Buffer[] {
  const type = key.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1'
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ec') return []
  const pem = key.export({ type, format: 'pem', cipher: 'aes-128-cbc', passphrase: PASSPHRASE })
  return [
    key.export({ type, format: 'der' }),
    Buffer.from(key.export({ type, format: 'pem' })),
    Buffer.from(pem),
  ]
}

/** DES, which OpenSSL 3 has retired: such a key is read another way. */
async function makeLegacyPem(directory: string): Promise<Buffer> {
  const key = join(directory, 'des.pem')
  await output(['openssl', 'genrsa', '-out', key, '2048'])
  const legacy = ['-provider', 'legacy', '-provider', 'default']
  const encrypt = ['-traditional', '-des', '-passout', `pass:${PASSPHRASE}`]
  return await output(['openssl', 'rsa', '-in', key, ...encrypt, ...legacy])
}

/** PKCS#12 in several protections; the empty password is what is tried when none is given. */
const PKCS12_OPTIONS: readonly (readonly string[])[] = [
  ['-passout', 'pass:'],
  ['-passout', 'pass:', '-keypbe', 'NONE', '-nomac'],
  ['-passout', 'pass:', '-iter', '1'],
  ['-passout', `pass:${PASSPHRASE}`, '-iter', '1'],
  ['-passout', `pass:${PASSPHRASE}`, '-iter', '1', '-legacy'],
]

async function makePkcs12(directory: string): Promise<Buffer[]> {
  const made: Buffer[] = []
  const [key, out] = [join(directory, 'p12.pem'), join(directory, 'key.p12')]
  for (const algorithm of ['RSA', 'EC']) {
    const kind = algorithm === 'EC' ? ['-pkeyopt', 'ec_paramgen_curve:P-384'] : []
    await output(['openssl', 'genpkey', '-algorithm', algorithm, ...kind, '-out', key])
    for (const options of PKCS12_OPTIONS) {
      const argv = ['-export', '-nocerts', '-inkey', key, '-out', out, ...options]
      await output(['openssl', 'pkcs12', ...argv])
      made.push(await readFile(out))
    }
  }
  return made
}

async function readKey(bytes: Buffer, passphrase?: Secret): Promise<void> {
  const { key } = await readKeyFile(bytes, { name: 'key.pem', passphrase })
  hold(key.type === 'private', 'what is read is a private key')
  hold(describeKey(key) !== '', 'it can be described')
  const again = createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' }))
  hold(again.equals(key), 'it can be written and read')
  const { keyType } = makeSigner(key, undefined)
  hold(keyMisfit(key, keyType) === undefined, 'a key that signs fits its type')
}
