import { constants, createHash, publicDecrypt, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.js'
import { hashMethod, type KeyTypeName } from '../../src/core/algorithms.js'
import { encodePss, maxSaltLength } from '../../src/core/emsa-pss.js'
import { pemBlocks, toPem } from '../../src/core/pem.js'
import {
  loadPolicy,
  type ProfileName,
  Secret,
  type VerifyOptions,
  VolsealError,
  verifyImage,
} from '../../src/index.js'
import {
  askCursive,
  askCursiveOfBarbican,
  cursiveTakesAnySalt,
  hasCursive,
} from '../harness/cursive.js'
import { makeOpensslKey, type OpensslKey, opensslSign } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'
import { keepCertificate, makeImage, makeKeyManager } from '../harness/verifying.js'

/** Walks the tables of docs/profiles.md: what they say is what happens. */
const directory = scratchDirectory()
const image = makeImage(directory)

interface Case {
  readonly signature: string
  /** Bytes of the certificate's file or payload. */
  readonly certificate: Buffer
  readonly hash?: string
  readonly keyType?: string
  readonly image?: string
  /** The real cursive is not told an id of the certificate; verifyImage only where it says so. */
  readonly isUnnamed?: true
  /** What Barbican is asked for and has, where that is the point. */
  readonly barbican?: BarbicanAnswer
  /** How it is handed to verifyImage, when not as a certificate that is named. */
  readonly options?: Partial<VerifyOptions>
}

interface BarbicanAnswer {
  readonly id?: string
  readonly status?: number
  readonly secretType?: string
  readonly contentType?: string
}

const rsa = makeOpensslKey(directory, 'RSA-PSS')
const pem = readFileSync(rsa.certificate)
const raw = opensslSign(rsa, 'SHA-256', image)
const good: Case = { signature: raw.toString('base64'), certificate: pem }

/** A key that openssl makes with the given command, its certificate, and a signature of the image. */
function signedWith(type: KeyTypeName, name: string, command: string[], hash?: 'SHA-512'): Case {
  const path = (suffix: string) => join(directory, `${name}${suffix}`)
  const [program = '', ...args] = command
  run('openssl', [program, '-out', path('.key'), ...args])
  const request = ['req', '-new', '-x509', '-key', path('.key'), '-days', '9', '-subj', '/CN=x']
  run('openssl', [...request, '-out', path('.crt')])
  const key: OpensslKey = { type, key: path('.key'), certificate: '', publicKey: '' }
  return {
    signature: opensslSign(key, hash ?? 'SHA-256', image).toString('base64'),
    certificate: readFileSync(path('.crt')),
    keyType: type,
  }
}

const onCurve = (curve: string, keyType: KeyTypeName, ...more: string[]): Case =>
  signedWith(keyType, curve, ['ecparam', '-name', curve, '-genkey', '-noout', ...more])

function smallDsa(): Case {
  const parameters = join(directory, 'small-dsa')
  run('openssl', ['dsaparam', '-out', parameters, '1024'])
  return signedWith('DSA', 'dsa', ['gendsa', parameters])
}

/** e = 1: the signature is the encoded message itself. */
function exponentOne(): Case {
  const { certificate } = signedWith('RSA-PSS', 'e3', ['genrsa', '-3', '2048'])
  const der = pemBlocks(certificate.toString())[0]?.der ?? Buffer.alloc(0)
  der[der.indexOf(Buffer.from('020103', 'hex')) + 2] = 1
  const hash = hashMethod('SHA-256')
  const digest = createHash('sha256').update(readFileSync(image)).digest()
  const em = encodePss(digest, hash, 2048, maxSaltLength(2048, hash))
  const { publicKey } = new X509Certificate(der)
  const padding = constants.RSA_NO_PADDING
  expect(publicDecrypt({ key: publicKey, padding }, em)).toEqual(em)
  const patched = Buffer.from(toPem('CERTIFICATE', der))
  return { signature: em.toString('base64'), certificate: patched }
}

function ofTime(name: string, ...dates: string[]): Case {
  const certificate = join(directory, `${name}.crt`)
  const issue = ['x509', '-new', '-key', rsa.key, '-subj', `/CN=${name}`, ...dates]
  run('openssl', [...issue, '-out', certificate])
  return { ...good, certificate: readFileSync(certificate) }
}

/** `openssl x509` has no option for it in every version; `openssl ca` has. */
function notYetValid(): Case {
  const path = (suffix: string) => join(directory, `young${suffix}`)
  const [request, out, database] = [path('.csr'), path('.crt'), path('.index')] as const
  const config = path('.conf')
  const policy = '[any]\ncommonName=supplied\n'
  const here = `database=${database}\nrand_serial=yes\nnew_certs_dir=${directory}\npolicy=any\n`
  writeFileSync(config, `[ca]\ndefault_ca=here\n[here]\n${here}${policy}`)
  writeFileSync(database, '')
  run('openssl', ['req', '-new', '-key', rsa.key, '-subj', '/CN=young', '-out', request])
  const dates = ['-startdate', '20980101000000Z', '-enddate', '20990101000000Z']
  const issue = [
    'ca',
    '-batch',
    '-selfsign',
    '-config',
    config,
    '-keyfile',
    rsa.key,
    '-md',
    'sha256',
  ]
  run('openssl', [...issue, '-in', request, '-out', out, '-notext', ...dates])
  return { ...good, certificate: readFileSync(out) }
}

/** The last character before the padding carries bits that no byte is made of. */
function trailingBits({ signature }: Case): string {
  const last = signature.indexOf('=') - 1
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const next = alphabet[alphabet.indexOf(signature[last] ?? '') + 1] ?? ''
  return signature.slice(0, last) + next + signature.slice(last + 1)
}

const inLines = (text: string): string => text.replaceAll(/(.{64})/g, '$1\r\n')
/** With so many - and _ that what Python makes of the rest are whole quads, or its own padding. */
function urlSafe(text: string): string {
  const converted = text.replaceAll('+', '-').replaceAll('/', '_').replace(/^../, '-_')
  const dropped = converted.replaceAll(/[^-_]/g, '').length
  return dropped % 4 === 1 ? converted.replace(/[A-Z]/, '-') : converted
}

const keyManager = await makeKeyManager(directory)

/** Named by the properties alone; `undefined` lets `verifyImage` look there. */
async function stored(): Promise<Partial<VerifyOptions>> {
  return { certificate: undefined, keyManager, ...named(await keepCertificate(keyManager, pem)) }
}

function named(id: string): Partial<VerifyOptions> {
  return { properties: { ...propertiesOf(good), img_signature_certificate_uuid: id } }
}

/** The certificate's id is written in another way, or is another; Barbican answers as it does to such. */
async function withId(write: (id: string) => string, status = 200): Promise<Case> {
  const id = write(await keepCertificate(keyManager, pem))
  const options = { certificateId: undefined, certificate: undefined, keyManager, ...named(id) }
  return { ...good, barbican: { id, status }, options }
}

const damaged = '-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n'
const request = (): Buffer =>
  run('openssl', ['req', '-new', '-key', rsa.key, '-subj', '/CN=request'])

const CASES: Readonly<Record<string, () => Case | Promise<Case>>> = {
  'base64 on several lines': () => ({ ...good, signature: inLines(good.signature) }),
  'base64 with foreign characters in it': () => ({
    ...good,
    signature: ` ~${good.signature.slice(0, 9)}\0*${good.signature.slice(9)}`,
  }),
  'base64 with more text behind its padding': () => ({
    ...good,
    signature: `${good.signature}QUJD`,
  }),
  'base64 whose last bits are not zero': () => ({ ...good, signature: trailingBits(good) }),
  'url-safe base64': () => ({ ...good, signature: urlSafe(good.signature) }),
  "the text of a Python bytes object, `b'…'`, of an RSA-2048 signature": () => ({
    ...good,
    signature: `b'${good.signature}'`,
  }),
  'an RSA key of 1024 bits': () => signedWith('RSA-PSS', 'r1024', ['genrsa', '1024']),
  'an RSA key of 512 bits': () => signedWith('RSA-PSS', 'r512', ['genrsa', '512']),
  'an RSA key with exponent 1, with which everybody can sign': exponentOne,
  'a DSA key of 1024 bits': smallDsa,
  'P-256 named ECC_SECP384R1': () => onCurve('prime256v1', 'ECC_SECP384R1'),
  'P-384 named ECC_SECP521R1': () => onCurve('secp384r1', 'ECC_SECP521R1'),
  'secp256k1 named ECC_SECT571K1': () => onCurve('secp256k1', 'ECC_SECT571K1'),
  'a certificate that has expired': () => ofTime('old', '-days', '-1'),
  'a certificate that is not yet valid': notYetValid,
  'a certificate that only the properties name': async () => ({
    ...good,
    options: await stored(),
  }),
  'a certificate in PEM behind one in DER': () => ({
    ...good,
    certificate: Buffer.concat([run('openssl', ['x509', '-outform', 'DER'], pem), pem]),
  }),
  'a certificate in DER': () => ({
    ...good,
    certificate: run('openssl', ['x509', '-outform', 'DER'], pem),
  }),
  'a certificate with a damaged PEM block behind it': () => ({
    ...good,
    certificate: Buffer.concat([pem, Buffer.from(damaged)]),
  }),
  'a certificate with blanks in its base64': () => ({
    ...good,
    certificate: Buffer.from(pem.toString().replace(/MII/, 'M II')),
  }),
  'the PEM label X509 CERTIFICATE': () => ({
    ...good,
    certificate: Buffer.from(pem.toString().replaceAll('CERTIFICATE', 'X509 CERTIFICATE')),
  }),
  'a certificate kept as text/plain': async () => {
    const certificateId = await keepCertificate(keyManager, pem, 'text/plain')
    const barbican = { contentType: 'text/plain' }
    return { ...good, barbican, options: { certificate: undefined, certificateId, keyManager } }
  },
  'a certificate id in upper case': async () => await withId((id) => id.toUpperCase()),
  'a certificate id that is empty': async () => await withId(() => ''),
  'a certificate id that is a UUID of version 1': async () =>
    await withId(() => '5df14c2b-f221-1a02-948e-48a61edd3f5b', 404),
  'a secret that is no certificate': async () => {
    const payload = new Secret(Buffer.from(pem))
    const certificateId = await keyManager.store({ type: 'opaque', payload })
    const barbican = { secretType: 'opaque' }
    return { ...good, barbican, options: { certificate: undefined, certificateId, keyManager } }
  },
  'trusted certificates are named': () => ({ ...good, options: { trusted: [pem] } }),
  'a policy lists the certificate': async () => {
    const policy = join(directory, 'policy.yaml')
    const rules = [{ certificates: [{ file: rsa.certificate }] }]
    writeFileSync(policy, JSON.stringify({ version: 1, rules }))
    return { ...good, options: { policy: await loadPolicy(policy) } }
  },
  'characters that are not ASCII in the signature': () => ({
    ...good,
    signature: `é${good.signature}`,
  }),
  'a curve that python-cryptography does not know': () => onCurve('secp160r1', 'ECC_SECP384R1'),
  'a curve that is spelled out': () =>
    onCurve('secp521r1', 'ECC_SECP521R1', '-param_enc', 'explicit'),
  'SHA-512 with an RSA key of 512 bits': () => ({
    ...signedWith('RSA-PSS', 'r512', ['genrsa', '512']),
    hash: 'SHA-512',
  }),
  'a request instead of a certificate': () => ({ ...good, certificate: request() }),
  'base64 of PEM instead of PEM': () => ({
    ...good,
    certificate: Buffer.from(pem.toString('base64')),
  }),
  'a certificate id that is no UUID': async () => await withId(() => 'no-uuid'),
  'the properties name no certificate, the caller does': () => ({ ...good, isUnnamed: true }),
  'nobody names a certificate': () => ({
    ...good,
    isUnnamed: true,
    options: { certificate: undefined },
  }),
  'a good RSA-PSS signature': () => good,
  'a salt as long as the digest': () => ({
    ...good,
    signature: opensslSign(rsa, 'SHA-256', image, 'digest').toString('base64'),
  }),
  'PKCS#1 v1.5 instead of PSS': () => ({
    ...good,
    signature: run('openssl', ['dgst', '-sha256', '-sign', rsa.key, image]).toString('base64'),
  }),
  'another image': () => ({ ...good, image: rsa.certificate }),
  'an empty signature': () => ({ ...good, signature: '' }),
  'base64 that breaks off': () => ({ ...good, signature: good.signature.slice(0, 101) }),
  'an unknown hash method': () => ({ ...good, hash: 'sha256' }),
  'an unknown key type': () => ({ ...good, keyType: 'SECP384R1' }),
  'an RSA certificate named DSA': () => ({ ...good, keyType: 'DSA' }),
  'the first of several certificates is used': () => ({
    ...good,
    certificate: Buffer.concat([pem, readFileSync(makeOpensslKey(directory, 'DSA').certificate)]),
  }),
}

interface Row {
  readonly name: string
  readonly strict: string
  readonly cursive: string
  /** What the real cursive does; `knows none` when there is nothing to ask it. */
  readonly real: string
}

const DOCUMENT = new URL('../../docs/profiles.md', import.meta.url)
const ROWS: readonly Row[] = readFileSync(DOCUMENT, 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (?:case|---)/.test(line))
  .map((line) => {
    const [name = '', strict = '', cursive = '', real = ''] = line
      .slice(1)
      .split('|')
      .map((cell) => cell.trim())
    return { name, strict, cursive, real }
  })

function propertiesOf({ signature, hash, keyType }: Case) {
  return {
    img_signature: signature,
    img_signature_hash_method: hash ?? 'SHA-256',
    img_signature_key_type: keyType ?? 'RSA-PSS',
  }
}

/** As the table says it. */
async function verdict(tried: Case, profile: ProfileName): Promise<string> {
  const { certificate, options } = tried
  const properties = propertiesOf(tried)
  const from = { image: tried.image ?? image, properties, certificate, profile }
  try {
    const report = await verifyImage({ ...from, ...options })
    expect(report.profile).toBe(profile)
    if (profile === 'cursive') expect(report.trust).toBe('none')
    return 'accepted'
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    return `refused, ${EXIT_CODES[error.code][0]}`
  }
}

function ask(tried: Case) {
  const { certificate, barbican, isUnnamed } = tried
  const { signature, hash = 'SHA-256', keyType = 'RSA-PSS' } = tried
  const path = tried.image ?? image
  const asked = { signature, hash, keyType }
  if (barbican === undefined) {
    const id = isUnnamed === true ? { certificateId: null } : {}
    return askCursive([
      { ...asked, ...id, certificate: certificate.toString('latin1'), image: path },
    ])
  }
  const answer = {
    id: '5e55f4c3-7d3a-4d0b-8a3e-6f1c2d9b8a70',
    status: 200,
    secretType: 'certificate',
    contentType: 'application/octet-stream',
    ...barbican,
  }
  const [payload, bytes] = [certificate, readFileSync(path)].map((of) => of.toString('latin1'))
  return askCursiveOfBarbican([JSON.stringify({ ...asked, ...answer, payload, image: bytes })])
}

/** As the table says it. */
function realVerdict(tried: Case): string {
  const [answer] = ask(tried)
  if (answer === undefined || answer.ok) return 'accepts'
  const [kind = ''] = answer.error.split(':')
  return OWN_ERRORS.includes(kind) ? 'refuses' : `raises \`${kind}\``
}

const OWN_ERRORS = ['InvalidSignature', 'SignatureVerificationError']

it('every row of docs/profiles.md has a case here, and every case a row', () => {
  expect(ROWS.map(({ name }) => name).toSorted()).toEqual(Object.keys(CASES).toSorted())
})

const makeCase = async (name: string): Promise<Case> => (await CASES[name]?.()) ?? good

describe.each(ROWS)('$name', ({ name, strict, cursive }) => {
  it('is judged as the table says', async () => {
    const tried = await makeCase(name)
    expect({
      strict: await verdict(tried, 'strict'),
      cursive: await verdict(tried, 'cursive'),
    }).toEqual({ strict, cursive })
  })
})

/** A newer cryptography takes every salt. */
const ASKED = ROWS.filter(({ real }) => real !== 'knows none').filter(
  ({ name }) => !(cursiveTakesAnySalt && name.startsWith('a salt')),
)

describe.skipIf(!hasCursive)('the real cursive (Debian package python3-cursive)', () => {
  it.each(ASKED)('judges $name so', async ({ name, real }) => {
    expect(realVerdict(await makeCase(name))).toBe(real)
  })
})
