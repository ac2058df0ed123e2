import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { hashMethod } from '../../src/core/algorithms.js'
import { fromBase64 } from '../../src/core/bytes.js'
import {
  type Explanation,
  Secret,
  type SignatureProperties,
  type VerifyOptions,
  type VerifyReport,
  verifyImage,
} from '../../src/index.js'
import {
  askCursive,
  askCursiveOfBarbican,
  cursiveTakesAnySalt,
  hasCursive,
} from '../harness/cursive.js'
import { type OpensslKey, opensslVerifies } from '../harness/openssl.js'
import { run } from '../harness/run.js'
import { hasJsonschema, schemaFaults } from '../harness/schema.js'
import { keepCertificate, makeKeyManager, verdictOf } from '../harness/verifying.js'
import {
  base64,
  CASES,
  type Case,
  digest,
  directory,
  good,
  image,
  NO,
  ONLY_OPENSSL,
  propertiesOf,
  rsa,
  YES,
} from './wrong-signatures.js'

type Explained = VerifyReport & { readonly explanation: Explanation }

async function explain(options: VerifyOptions): Promise<Explained> {
  const { report } = await verdictOf({ ...options, explain: true })
  if (report?.explanation === undefined) throw new Error('nothing is explained')
  return { ...report, explanation: report.explanation }
}

async function explainCase(tried: Case, more: SignatureProperties = {}): Promise<Explained> {
  return await explain({
    image: tried.image ?? image,
    properties: { ...propertiesOf(tried), ...more },
    certificate: tried.certificate ?? readFileSync(tried.key.certificate),
  })
}

/** The certificate is named by the properties as well. */
const PUBLISHED = { img_signature_certificate_uuid: '5e55f4c3-7d3a-4d0b-8a3e-6f1c2d9b8a70' }

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
      const { explanation } = await explainCase(tried, PUBLISHED)
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

  it('the certificate alone: the logs are those of the properties as they are', async () => {
    for (const profile of ['strict', 'cursive'] as const) {
      const report = await explain({ image, properties: full, certificate, profile })
      expect(report.verdict).toBe('accepted')
      expect(report.explanation.serviceLog.map(({ message }) => message)).toEqual([
        `Image signature verification failed for image: ${image}`,
        `Image signature metadata for image ${image} is incomplete.`,
      ])
      expect(report.checks[0]).toMatchObject({
        name: 'properties',
        result: 'pass',
        found: 'img_signature_certificate_uuid missing',
      })
    }
  })

  it('none: nothing is left to say', async () => {
    const manager = await makeKeyManager(directory)
    const id = await keepCertificate(manager, certificate)
    const properties = { ...full, img_signature_certificate_uuid: id }
    const named = { image, properties, keyManager: manager }
    const report = await explain({ ...named, certificateId: id })
    expect(report).toMatchObject({ ok: true, explanation: { causes: [] } })
    const untrusted = await explain(named)
    expect(untrusted.explanation.causes.map(({ code }) => code)).toEqual(['certificate-trust'])
    expect(saidBy(untrusted)).toEqual(YES)
    const textId = await keepCertificate(manager, certificate, 'text/plain')
    const asText = await explain({ ...named, certificateId: textId })
    expect(asText.explanation.causes.map(({ code }) => code)).toEqual(['certificate-as-text'])
    expect(saidBy(asText)).toEqual(ONLY_OPENSSL)
  })
})

describe('a certificate id, or a secret, that is none', () => {
  const full = propertiesOf({ key: rsa, signature: base64(good), causes: [], said: YES })
  const certificate = readFileSync(rsa.certificate)
  const version1 = '5df14c2b-f221-1a02-948e-48a61edd3f5b'

  /** What is explained of an image whose properties name this, and what cursive raises. */
  async function named(id: string, answer: object, stored?: 'opaque' | 'passphrase') {
    const keyManager = await makeKeyManager(directory)
    const payload = new Secret(Buffer.from(certificate))
    const secret = stored ?? 'certificate'
    const kept = await keyManager.store({ type: secret, payload })
    const written = id === 'kept' ? kept : id
    const properties = { ...full, img_signature_certificate_uuid: written }
    const report = await explain({ image, properties, keyManager })
    const request = {
      signature: base64(good),
      hash: 'SHA-256',
      keyType: 'RSA-PSS',
      id: written,
      status: 200,
      secretType: secret,
      contentType: 'application/octet-stream',
      payload: certificate.toString('latin1'),
      image: readFileSync(image, 'latin1'),
      ...answer,
    }
    const [said] = hasCursive ? askCursiveOfBarbican([JSON.stringify(request)]) : []
    return { report, raised: said?.ok === false ? said.error : undefined }
  }

  it.each([
    [
      'an opaque secret',
      'kept',
      {},
      'opaque',
      'certificate-unreadable',
      'Invalid certificate format: Opaque.',
    ],
    [
      'a passphrase',
      'kept',
      {},
      'passphrase',
      'certificate-unreadable',
      'Invalid certificate format: RAW.',
    ],
    [
      'version 1',
      version1,
      { status: 404 },
      undefined,
      'certificate-id',
      `Certificate not found with ID: ${version1}.`,
    ],
    ['nothing', '', {}, undefined, 'certificate-id', 'Unable to retrieve certificate with ID: .'],
  ] as const)(
    '%s: the services refuse it in their own words',
    async (_, id, answer, type, cause, words) => {
      const { report, raised } = await named(id, answer, type)
      expect(saidBy(report).slice(0, 2)).toEqual(['refuses', 'refuses'])
      expect(report.explanation.causes[0]?.code).toBe(cause)
      const text = `Signature verification for the image failed: ${words}`
      expect(report.explanation.serviceLog.map(({ message }) => message)).toEqual([
        `Image signature verification failed for image: ${image}`,
        `Failed to get verifier for image: ${image}`,
        `Signature verification failed for image ${image}: ${text}`,
      ])
      if (hasCursive) expect(raised).toBe(`SignatureVerificationError: ${text}`)
    },
  )

  it('no UUID: the services fail in words that are not about signatures', async () => {
    const { report, raised } = await named('no-uuid', {})
    expect(saidBy(report).slice(0, 2)).toEqual(['refuses', 'refuses'])
    expect(report.explanation.causes[0]?.code).toBe('certificate-id')
    expect(report.explanation.serviceLog).toEqual([
      {
        service: 'nova',
        level: 'ERROR',
        logger: 'nova.compute.manager',
        message: 'Instance failed to spawn',
      },
      {
        service: 'cinder',
        level: 'ERROR',
        logger: 'cinder.volume.flows.manager.create_volume',
        message: 'Volume VOLUME: create failed',
      },
      {
        service: 'glance',
        level: 'DEBUG',
        logger: 'glance.api.v2.image_data',
        message: `Cannot save data for image ${image}: Secret incorrectly specified.`,
      },
    ])
    if (hasCursive) expect(raised).toBe('ValueError: Secret incorrectly specified.')
  })

  it('upper case: the services take it, and how Barbican writes it is the remedy', async () => {
    const keyManager = await makeKeyManager(directory)
    const id = await keepCertificate(keyManager, certificate)
    for (const written of [
      id.toUpperCase(),
      `{${id}}`,
      id.replaceAll('-', ''),
      `http://x/${id.toUpperCase()}/`,
    ]) {
      const properties = { ...full, img_signature_certificate_uuid: written }
      const report = await explain({ image, properties, keyManager })
      expect(report.verdict).toBe('signature-malformed')
      expect(saidBy(report)).toEqual(YES)
      const [cause] = report.explanation.causes
      expect(cause?.message).toMatch(/not written as Barbican writes it; the services take it$/)
      expect(cause?.remedy[0]).toContain(`=${id} `)
      const asCursive = await explain({ image, properties, keyManager, profile: 'cursive' })
      expect(asCursive.verdict).toBe('accepted')
    }
  })

  it('a hash that nobody knows: nova refuses it where it is asked for an instance', async () => {
    const report = await explain({
      image,
      properties: { ...full, ...PUBLISHED, img_signature_hash_method: 'MD5' },
      certificate,
    })
    expect(report.explanation.serviceLog[0]).toEqual({
      service: 'nova',
      level: 'INFO',
      logger: 'nova.api.openstack.wsgi',
      message: 'HTTP exception thrown: Invalid image metadata. Error: Field value MD5 is invalid',
    })
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
    const signature = `b'${base64(good)}'`
    const properties = propertiesOf({ key: rsa, signature, causes: [], said: NO })
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
