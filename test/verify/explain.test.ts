import { createSign, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type HashName, hashMethod, type KeyTypeName } from '../../src/core/algorithms.js'
import { fromBase64 } from '../../src/core/bytes.js'
import {
  type Explanation,
  ImageRefused,
  openLocalKeyManager,
  Secret,
  type SignatureProperties,
  type VerifyOptions,
  type VerifyReport,
  verifyImage,
} from '../../src/index.js'
import { askCursive, cursiveTakesAnySalt, hasCursive } from '../harness/cursive.js'
import {
  makeOpensslKey,
  type OpensslKey,
  opensslSign,
  opensslVerifies,
} from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'
import { hasJsonschema, schemaFaults } from '../harness/schema.js'

const directory = scratchDirectory()
const image = join(directory, 'image')
const changed = join(directory, 'changed')
writeFileSync(image, randomBytes(70_000))
writeFileSync(changed, randomBytes(70_000))

const rsa = makeOpensslKey(directory, 'RSA-PSS')
const otherRsa = makeOpensslKey(directory, 'RSA-PSS', 'other')
const ec = makeOpensslKey(directory, 'ECC_SECP384R1')
const larger = makeOpensslKey(directory, 'ECC_SECP521R1')
const dsa = makeOpensslKey(directory, 'DSA')
const sect = makeOpensslKey(directory, 'ECC_SECT409K1')
const PSS = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:max']

function largeRsa(): Buffer {
  const key = join(directory, 'large.key')
  run('openssl', ['genrsa', '-out', key, '3072'])
  return run('openssl', ['dgst', '-sha256', '-sign', key, ...PSS, image])
}

interface Case {
  readonly key: OpensslKey
  readonly signature: string
  readonly hash?: string
  readonly keyType?: string
  readonly image?: string
  readonly certificate?: Buffer
  /** Codes of the causes, beside that the properties name no certificate. */
  readonly causes: readonly string[]
  /** What the three services say, with strict and with lenient cryptography, and openssl. */
  readonly said: readonly [strict: string, lenient: string, openssl: string]
}

const base64 = (bytes: Buffer): string => bytes.toString('base64')
const good = opensslSign(rsa, 'SHA-256', image)
const goodEc = opensslSign(ec, 'SHA-384', image)
const digest = (hash: string): Buffer => run('openssl', ['dgst', hash, '-binary', image])
const digestFile = join(directory, 'digest')
writeFileSync(digestFile, digest('-sha256'))

function rsaSigned(...args: string[]): string {
  return base64(run('openssl', ['dgst', '-sha256', '-sign', rsa.key, ...args, image]))
}

const YES = ['accepts', 'accepts', 'accepts'] as const
const NO = ['refuses', 'refuses', 'refuses'] as const
const ONLY_OPENSSL = ['refuses', 'refuses', 'accepts'] as const

const CASES: Readonly<Record<string, Case>> = {
  'a good signature': { key: rsa, signature: base64(good), causes: [], said: YES },
  'a salt as long as the digest': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-256', image, 'digest')),
    causes: ['salt-length'],
    said: ['refuses', 'accepts', 'accepts'],
  },
  'no salt': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-256', image, '0')),
    causes: ['salt-length'],
    said: ['refuses', 'accepts', 'accepts'],
  },
  'PKCS#1 v1.5': { key: rsa, signature: rsaSigned(), causes: ['pkcs1-padding'], said: NO },
  'SHA-1 in the mask': {
    key: rsa,
    signature: rsaSigned(...PSS, '-sigopt', 'rsa_mgf1_md:sha1'),
    causes: ['other-mgf-hash'],
    said: NO,
  },
  'another hash': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-512', image)),
    causes: ['other-hash'],
    said: NO,
  },
  'the digest signed': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-256', digestFile)),
    causes: ['digest-signed'],
    said: NO,
  },
  'another key': {
    key: rsa,
    signature: base64(opensslSign(otherRsa, 'SHA-256', image)),
    causes: ['other-key'],
    said: NO,
  },
  'a larger key': { key: rsa, signature: base64(largeRsa()), causes: ['other-key'], said: NO },
  'another image': {
    key: rsa,
    signature: base64(good),
    image: changed,
    causes: ['other-image'],
    said: NO,
  },
  "b'…'": {
    key: rsa,
    signature: `b'${base64(good)}'`,
    causes: ['python-repr'],
    said: ONLY_OPENSSL,
  },
  'url-safe base64': {
    key: rsa,
    signature: base64(good).replaceAll('+', '-').replaceAll('/', '_'),
    causes: ['url-safe-base64'],
    said: ONLY_OPENSSL,
  },
  'wrapped base64': {
    key: rsa,
    signature: base64(good).replaceAll(/(.{64})/g, '$1\n'),
    causes: ['wrapped-base64'],
    said: YES,
  },
  'base64 without its padding': {
    key: rsa,
    signature: base64(good).replace(/=+$/, ''),
    causes: ['unpadded-base64'],
    said: ONLY_OPENSSL,
  },
  hex: {
    key: rsa,
    signature: good.toString('hex'),
    causes: ['hex-signature'],
    said: ONLY_OPENSSL,
  },
  'no base64': {
    key: rsa,
    signature: '?',
    causes: ['not-base64'],
    said: ['refuses', 'refuses', 'unknown'],
  },
  'a certificate in DER': {
    key: rsa,
    signature: base64(good),
    certificate: run('openssl', ['x509', '-in', rsa.certificate, '-outform', 'DER']),
    causes: ['certificate-form'],
    said: ONLY_OPENSSL,
  },
  'base64 of PEM': {
    key: rsa,
    signature: base64(good),
    certificate: Buffer.from(readFileSync(rsa.certificate).toString('base64')),
    causes: ['certificate-form'],
    said: ONLY_OPENSSL,
  },
  'a hash name in small letters': {
    key: rsa,
    signature: base64(good),
    hash: 'sha256',
    causes: ['hash-name'],
    said: ['refuses', 'refuses', 'unknown'],
  },
  'a curve without ECC_': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    keyType: 'SECP384R1',
    causes: ['key-type-name'],
    said: ONLY_OPENSSL,
  },
  'a curve of another key type': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    keyType: 'ECC_SECP521R1',
    causes: ['curve-of-another-key-type'],
    said: YES,
  },
  'an RSA key type for an EC key': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    keyType: 'RSA-PSS',
    causes: ['key-type-of-another-class'],
    said: ONLY_OPENSSL,
  },
  'ECDSA with another hash': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-512',
    causes: ['other-hash'],
    said: NO,
  },
  'ECDSA as two numbers': {
    key: ec,
    signature: base64(
      createSign('sha384')
        .update(readFileSync(image))
        .sign({ key: readFileSync(ec.key), dsaEncoding: 'ieee-p1363' }),
    ),
    hash: 'SHA-384',
    causes: ['raw-signature'],
    said: NO,
  },
  'ECDSA of the digest': {
    key: ec,
    signature: base64(opensslSign(ec, 'SHA-256', digestFile)),
    causes: ['digest-signed'],
    said: NO,
  },
  'ECDSA of a larger curve': {
    key: ec,
    signature: base64(opensslSign(larger, 'SHA-256', image)),
    causes: ['other-key'],
    said: NO,
  },
  'ECDSA of another image': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    image: changed,
    causes: ['other-image-or-key'],
    said: NO,
  },
  DSA: { key: dsa, signature: base64(opensslSign(dsa, 'SHA-256', image)), causes: [], said: YES },
  'a SECT curve': {
    key: sect,
    signature: base64(opensslSign(sect, 'SHA-256', image)),
    causes: ['dropped-curve'],
    said: YES,
  },
}

function propertiesOf({ key, signature, hash, keyType }: Case): SignatureProperties {
  return {
    img_signature: signature,
    img_signature_hash_method: hash ?? 'SHA-256',
    img_signature_key_type: keyType ?? key.type,
  }
}

type Explained = VerifyReport & { readonly explanation: Explanation }

async function explain(options: VerifyOptions): Promise<Explained> {
  const report = await verifyImage({ ...options, explain: true }).catch((error: unknown) => {
    if (error instanceof ImageRefused) return error.report
    throw error
  })
  const { explanation } = report
  if (explanation === undefined) throw new Error('nothing is explained')
  return { ...report, explanation }
}

async function explainCase(tried: Case): Promise<Explained> {
  return await explain({
    image: tried.image ?? image,
    properties: propertiesOf(tried),
    certificate: tried.certificate ?? readFileSync(tried.key.certificate),
  })
}

/** The verdicts of the services, which must be alike, and of openssl. */
function saidBy({ explanation }: Explained): string[] {
  const of = (which: string | null): Set<string> =>
    new Set(
      explanation.acceptedBy
        .filter(({ cryptography }) => cryptography === which)
        .map(({ verdict }) => verdict),
    )
  return ['<=41', '>=42', null].map((which) => [...of(which)].join(' or '))
}

const entries = Object.entries(CASES)

describe.each(entries)('%s', (_, tried) => {
  it('is named, and who accepts it', async () => {
    const report = await explainCase(tried)
    const codes = report.explanation.causes.map(({ code }) => code)
    expect(codes).toEqual([...tried.causes, 'certificate-not-named'])
    expect(saidBy(report)).toEqual(tried.said)
  })
})

describe.skipIf(!hasCursive)('the real cursive (Debian package python3-cursive)', () => {
  it('says what we say that it says', () => {
    const requests = entries.map(([, tried]) => ({
      certificate: (tried.certificate ?? readFileSync(tried.key.certificate)).toString('latin1'),
      signature: tried.signature,
      hash: tried.hash ?? 'SHA-256',
      keyType: tried.keyType ?? tried.key.type,
      image: tried.image ?? image,
    }))
    const column = cursiveTakesAnySalt ? 1 : 0
    expect(askCursive(requests).map(({ ok }) => (ok ? 'accepts' : 'refuses'))).toEqual(
      entries.map(([, { said }]) => said[column]),
    )
  })

  it('gives the reasons that glance logs', async () => {
    const refused = entries.filter(([name]) => /letters|without ECC_|for an EC key/.test(name))
    expect(refused).toHaveLength(3)
    for (const [, tried] of refused) {
      const { explanation } = await explainCase(tried)
      const line = explanation.serviceLog.find(({ service }) => service === 'glance')
      const [answer] = askCursive([
        {
          certificate: readFileSync(tried.key.certificate, 'latin1'),
          signature: tried.signature,
          hash: tried.hash ?? 'SHA-256',
          keyType: tried.keyType ?? tried.key.type,
          image,
        },
      ])
      const error = answer?.ok === false ? answer.error : ''
      const text = error.replace(/^SignatureVerificationError: /, '')
      expect(line?.message).toBe(`Signature verification failed for image ${image}: ${text}`)
    }
  })
})

describe('openssl', () => {
  const asked = entries.filter(
    ([name, { signature, said }]) =>
      name !== 'hex' && said[2] !== 'unknown' && fromBase64(signature) !== undefined,
  )

  it.each(asked)('says so of %s', (name, tried) => {
    const file = join(directory, `${name.replaceAll(/\W/g, '-')}.sig`)
    writeFileSync(file, Buffer.from(tried.signature, 'base64'))
    const { name: hash } = hashMethod(tried.hash ?? 'SHA-256')
    const accepted = opensslVerifies(tried.key, hash, tried.image ?? image, file, 'auto')
    expect(accepted ? 'accepts' : 'refuses').toBe(tried.said[2])
  })
})

/** Runs a remedy: what it sets, by a shell in which `openstack` only shows its arguments. */
function mended(properties: SignatureProperties, remedy: readonly string[], key: OpensslKey) {
  const fake = 'openstack() { [ "$1" = image ] && printf "%s\\n" "$4"; }'
  const script = [fake, ...remedy.map((line) => line.replace('KEY', key.key))].join('\n')
  const set = run('sh', ['-c', script]).toString().trimEnd()
  const [name = '', ...rest] = set.split('=')
  return { ...properties, [name]: rest.join('=') }
}

const REMEDIED = new Set([
  'salt-length',
  'pkcs1-padding',
  'other-mgf-hash',
  'other-hash',
  'digest-signed',
  'python-repr',
  'wrapped-base64',
  'url-safe-base64',
  'unpadded-base64',
  'hex-signature',
  'raw-signature',
  'hash-name',
  'key-type-name',
  'curve-of-another-key-type',
  'key-type-of-another-class',
])

describe('the remedy', () => {
  const mendable = entries.filter(([, { causes }]) => causes.some((code) => REMEDIED.has(code)))

  it.each(mendable)('mends %s', async (_, tried) => {
    const { explanation } = await explainCase(tried)
    const cause = explanation.causes.find(({ code }) => REMEDIED.has(code))
    const properties = mended(propertiesOf(tried), cause?.remedy ?? [], tried.key)
    const certificate = readFileSync(tried.key.certificate)
    const report = await verifyImage({ image, properties, certificate })
    expect(report.verdict).toBe('accepted')
  })
})

describe('missing properties', () => {
  const full = propertiesOf({ key: rsa, signature: base64(good), causes: [], said: YES })
  const certificate = readFileSync(rsa.certificate)

  function verdicts({ explanation }: Explained): string[] {
    return explanation.acceptedBy.slice(0, 3).map(({ verdict }) => verdict)
  }

  it('are treated in three ways, and named with what they should be', async () => {
    const { img_signature_key_type: _, ...properties } = full
    const report = await explain({ image, properties, certificate })
    expect(report.verdict).toBe('unsigned')
    expect(verdicts(report)).toEqual(['refuses', 'refuses', 'unsigned'])
    const [cause] = report.explanation.causes
    expect(cause?.code).toBe('properties-missing')
    expect(cause?.remedy[0]).toContain('img_signature_key_type=RSA-PSS')
    const services = report.explanation.serviceLog.map(({ service, message }) => [service, message])
    expect(services).toEqual([
      ['nova', `Image signature verification failed for image: ${image}`],
      ['cinder', `Image signature metadata for image ${image} is incomplete.`],
    ])
  })

  it('all of them: nova alone refuses', async () => {
    const report = await explain({ image, properties: {} })
    expect(verdicts(report)).toEqual(['refuses', 'unsigned', 'unsigned'])
    expect(report.explanation.causes.map(({ code }) => code)).toEqual(['unsigned'])
  })

  it('the certificate alone: it is judged as it will be, and said what it is until then', async () => {
    const report = await explain({ image, properties: full, certificate })
    for (const { condition } of report.explanation.acceptedBy.slice(0, 6))
      expect(condition).toMatch(/^once img_signature_certificate_uuid names the certificate; until/)
  })

  it('none: nothing is left to say', async () => {
    const manager = await openLocalKeyManager({
      store: join(directory, 'keys'),
      key: { kind: 'key', key: new Secret(randomBytes(32)) },
    })
    const payload = new Secret(Buffer.from(certificate))
    const id = await manager.store({ type: 'certificate', payload })
    const properties = { ...full, img_signature_certificate_uuid: id }
    const named = { image, properties, keyManager: manager }
    const report = await explain({ ...named, certificateId: id })
    expect(report).toMatchObject({ ok: true, explanation: { causes: [] } })
    const untrusted = await explain(named)
    expect(untrusted.explanation.causes.map(({ code }) => code)).toEqual(['certificate-trust'])
    expect(saidBy(untrusted)).toEqual(YES)
    const text = new Secret(Buffer.from(certificate))
    const textId = await manager.store({
      type: 'certificate',
      payload: text,
      contentType: 'text/plain',
    })
    const asText = await explain({ ...named, certificateId: textId })
    expect(asText.explanation.causes.map(({ code }) => code)).toEqual(['certificate-as-text'])
    expect(saidBy(asText)).toEqual(ONLY_OPENSSL)
  })
})

describe('the report', () => {
  it('has size, curve, salts and every check with its source, before and after refusals', async () => {
    const salted = CASES['a salt as long as the digest']
    if (salted === undefined) throw new Error('no case')
    expect(await explainCase(salted)).toMatchObject({
      ok: false,
      saltLength: 32,
      saltLengthExpected: 222,
      keyBits: 2048,
      curve: null,
    })
    for (const [, tried] of entries) {
      const { checks } = await explainCase(tried)
      expect(checks.map(({ name }) => name).slice(0, 5)).toEqual([
        'properties',
        'certificate-key',
        'certificate-dates',
        'certificate-trust',
        'signature',
      ])
      for (const { source } of checks) expect(source).not.toBe('')
    }
  })

  it('reads a stream once', async () => {
    async function* pieces() {
      const bytes = readFileSync(image)
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
      await Promise.resolve()
    }
    const tried: { key: OpensslKey; hash: HashName; keyType: KeyTypeName } = {
      key: rsa,
      hash: 'SHA-256',
      keyType: 'RSA-PSS',
    }
    const properties = propertiesOf({
      ...tried,
      signature: `b'${base64(good)}'`,
      causes: [],
      said: NO,
    })
    const certificate = readFileSync(rsa.certificate)
    const report = await explain({ image: pieces(), properties, certificate })
    expect(report.size).toBe(70_000)
    expect(report.digest).toBe(digest('-sha256').toString('hex'))
    expect(report.explanation.signature).toMatchObject({ encoding: 'pss', signed: 'image' })
  })

  it.skipIf(!hasJsonschema)(
    'is what the schema says (Debian package python3-jsonschema)',
    async () => {
      const reports = await Promise.all(entries.map(async ([, tried]) => await explainCase(tried)))
      const values = reports.map((report) => ({ schema: 'volseal/verify/1', ...report }))
      expect(schemaFaults('verify.schema.json', values)).toEqual(values.map(() => null))
      const [first] = values
      const wrong = [
        { ...first, verdict: 'fine' },
        { ...first, schema: 'volseal/verify/2' },
        { ...first, checks: [{ name: 'signature', result: 'pass', expected: null, found: null }] },
        { schema: 'volseal/verify/1', ok: false },
      ]
      for (const fault of schemaFaults('verify.schema.json', wrong)) expect(fault).not.toBeNull()
    },
  )
})
