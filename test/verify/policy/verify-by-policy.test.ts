import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import {
  explainPolicy,
  ImageRefused,
  loadPolicy,
  type PolicySubject,
  type SignatureProperties,
  signImage,
  type VerifyOptions,
  VolsealError,
  verifyImage,
  writeImage,
} from '../../../src/index.js'
import { makeOpensslKey, type OpensslKey } from '../../harness/openssl.js'
import { run, scratchDirectory } from '../../harness/run.js'

const directory = scratchDirectory()
const image = join(directory, 'image')
writeFileSync(image, randomBytes(1_500_000))
const rsa = makeOpensslKey(directory, 'RSA-PSS')
const ec = makeOpensslKey(directory, 'ECC_SECP384R1')
const other = makeOpensslKey(directory, 'ECC_SECP384R1', 'other')

async function signed(key: OpensslKey): Promise<SignatureProperties> {
  const { properties } = await signImage({ image, key: readFileSync(key.key), write: false })
  return properties
}
const byRsa = await signed(rsa)
const byEc = await signed(ec)

let policies = 0

/** A policy of one rule. */
async function policyOf(rule: object) {
  policies += 1
  const path = join(directory, `policy-${policies}.yaml`)
  writeFileSync(path, JSON.stringify({ version: 1, rules: [rule] }))
  return await loadPolicy(path)
}

type More = Partial<VerifyOptions>

/** The verdict on the image: of a report, or the code of the refusal. */
async function verdict(rule: object, more: More): Promise<string> {
  const options = { image, properties: byEc, policy: await policyOf(rule), ...more }
  try {
    return (await verifyImage(options)).verdict
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

const rsaFile = { file: 'RSA-PSS.crt' }
const ecFile = { file: 'ECC_SECP384R1.crt' }
const pinned = { certificate: readFileSync(ec.certificate) }
const pinnedRsa = { properties: byRsa, certificate: readFileSync(rsa.certificate) }
const ecFingerprint = run('openssl', [
  'x509',
  '-in',
  ec.certificate,
  '-noout',
  '-fingerprint',
  '-sha256',
])
  .toString()
  .trim()
  .replace(/.*=/, '')
const now = new Date()

function ago(hours: number): PolicySubject {
  return { createdAt: new Date(now.getTime() - hours * 3_600_000) }
}

describe('a rule about key types', () => {
  it('means the key, where cursive would take any curve under the name of another', async () => {
    const { img_signature_key_type: _, ...rest } = byEc
    const renamed = { ...rest, img_signature_key_type: 'ECC_SECP521R1' }
    const more = { ...pinned, properties: renamed, profile: 'cursive' } as const
    expect(await verdict({}, more)).toBe('accepted')
    expect(await verdict({ key_types: ['ECC_SECP521R1'] }, more)).toBe('policy-refused')
  })
})

describe('a rule about signatures', () => {
  const unsigned = { properties: {} }
  const partly = { properties: { img_signature: byEc.img_signature ?? '' } }

  it.each<[string, More, string]>([
    ['required', pinned, 'accepted'],
    ['required', unsigned, 'unsigned'],
    ['required', partly, 'unsigned'],
    ['if-signed', pinned, 'accepted'],
    ['if-signed', unsigned, 'not-required'],
    ['if-signed', partly, 'unsigned'],
    ['if-signed', { ...pinned, image: Readable.from([randomBytes(9)]) }, 'signature-mismatch'],
    ['off', pinned, 'not-required'],
    ['off', unsigned, 'not-required'],
    ['off', partly, 'not-required'],
  ])('%s (case %#)', async (signature, more, expected) => {
    expect(await verdict({ signature }, more)).toBe(expected)
  })

  it('is no reason to believe anybody: no rule, no trust', async () => {
    expect(await verdict({ projects: ['p'] }, { ...unsigned, subject: { project: 'q' } })).toBe(
      'unsigned',
    )
    expect(await verdict({ projects: ['p'] }, unsigned)).toBe('usage')
  })
})

describe('a rule about keys', () => {
  it.each<[object, More, string]>([
    [{ key_types: ['RSA-PSS'] }, pinned, 'policy-refused'],
    [{ key_types: ['RSA-PSS', 'ECC_SECP384R1'] }, pinned, 'accepted'],
    [{ minimum_bits: { 'RSA-PSS': 2048 } }, pinnedRsa, 'accepted'],
    [{ minimum_bits: { 'RSA-PSS': 2049 } }, pinnedRsa, 'policy-refused'],
    [{ minimum_bits: { 'RSA-PSS': 2049 } }, pinned, 'accepted'],
    // What the image is not is graver than what the policy says.
    [{ key_types: ['RSA-PSS'] }, { ...pinned, image: Readable.from([]) }, 'signature-mismatch'],
  ])('%j', async (rule, more, expected) => {
    expect(await verdict(rule, more)).toBe(expected)
  })
})

describe('a rule about certificates', () => {
  it.each<[object[], More, string]>([
    [[ecFile], pinned, 'accepted'],
    [[{ fingerprint: ecFingerprint }], pinned, 'accepted'],
    [[{ fingerprint: ecFingerprint.toLowerCase().replaceAll(':', '') }], pinned, 'accepted'],
    [[rsaFile, { file: 'other.crt' }], pinned, 'certificate-untrusted'],
    [[rsaFile], { ...pinned, trusted: [pinned.certificate] }, 'certificate-untrusted'],
    // Nobody names one: the rule's own file of that key type is meant, if there is just one.
    [[ecFile, rsaFile], {}, 'accepted'],
    [[ecFile, { file: 'other.crt' }], {}, 'unsigned'],
    [[rsaFile], {}, 'unsigned'],
    [[{ file: 'other.crt' }], {}, 'signature-mismatch'],
    [[{ fingerprint: ecFingerprint }], {}, 'unsigned'],
  ])('%j (case %#)', async (certificates, more, expected) => {
    expect(await verdict({ certificates }, more)).toBe(expected)
  })

  it('vouches for what the properties name, and for nothing else', async () => {
    const id = '2f6f4a2c-9e6f-4b71-8d0b-5b1f1b7a1c11'
    const keyManager = (key: OpensslKey) => ({
      fetch: async () => {
        const { Secret } = await import('../../../src/index.js')
        return {
          id,
          type: 'certificate' as const,
          payload: new Secret(Buffer.from(readFileSync(key.certificate))),
        }
      },
    })
    const properties = { ...byEc, img_signature_certificate_uuid: id }
    const named = (key: OpensslKey): More => {
      // @ts-expect-error -- only what is looked at of a secret
      return { properties, keyManager: keyManager(key) }
    }
    expect(await verdict({ certificates: [{ fingerprint: ecFingerprint }] }, named(ec))).toBe(
      'accepted',
    )
    expect(await verdict({ certificates: [rsaFile] }, named(ec))).toBe('certificate-untrusted')
    expect(await verdict({}, named(ec))).toBe('certificate-untrusted')
    expect(other.type).toBe(ec.type)
  })
})

describe('a rule about age', () => {
  it.each<[string, PolicySubject, string]>([
    ['2d', ago(47), 'accepted'],
    ['2d', ago(49), 'policy-refused'],
    ['48h', ago(47), 'accepted'],
    ['1w', ago(8 * 24), 'policy-refused'],
    ['2d', {}, 'policy-refused'],
    ['2d', ago(-1 / 60), 'accepted'],
    ['2d', ago(-1), 'policy-refused'],
  ])('%s of %j: %s', async (maximum, subject, expected) => {
    const rule = { maximum_age: maximum }
    expect(await verdict(rule, { ...pinned, subject, at: now })).toBe(expected)
    const exempt = expected === 'accepted' ? 'not-required' : expected
    expect(await verdict({ ...rule, signature: 'off' }, { subject, at: now })).toBe(exempt)
  })
})

describe('an image from the future', () => {
  it('is called that: one of two clocks is wrong', async () => {
    const policy = await policyOf({ maximum_age: '2d' })
    const given = { image, properties: byEc, ...pinned, policy, subject: ago(-1), at: now }
    await expect(verifyImage(given)).rejects.toMatchObject({
      message: expect.stringMatching(/created .*Z, which is in the future/),
      hint: expect.stringContaining('clock'),
    })
  })
})

describe('a rule about formats', () => {
  const disk = join(directory, 'disk.qcow2')

  it('looks at the bytes that were verified, whatever they come from', async () => {
    run('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '1M'])
    const { properties } = await signImage({ image: disk, key: readFileSync(ec.key), write: false })
    const more = { ...pinned, properties }
    for (const input of [() => disk, () => Readable.from([readFileSync(disk)])]) {
      expect(await verdict({ formats: ['qcow2', 'iso'] }, { ...more, image: input() })).toBe(
        'accepted',
      )
      expect(await verdict({ formats: ['raw'] }, { ...more, image: input() })).toBe(
        'policy-refused',
      )
    }
  })

  it('refuses what is unsafe to open, signed or not', async () => {
    const backed = join(directory, 'backed.qcow2')
    run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', disk, backed])
    const rule = { formats: ['qcow2'], signature: 'off' }
    expect(await verdict(rule, { image: backed, properties: {} })).toBe('image-unsafe')
    expect(await verdict(rule, { image: disk, properties: {} })).toBe('not-required')
  })
})

describe('writing by a policy', () => {
  async function writing(rule: object, more: More = pinned) {
    const target = join(directory, `target-${policies}`)
    const options = { image, properties: byEc, policy: await policyOf(rule), target, ...more }
    const result = await writeImage(options).catch((error: unknown) => error)
    return { result, target }
  }

  it('says whether anything was verified', async () => {
    const { result, target } = await writing({})
    expect(result).toMatchObject({ signatureVerified: true, verification: { verdict: 'accepted' } })
    expect(readFileSync(target).equals(readFileSync(image))).toBe(true)
    const exempt = await writing({ signature: 'off' }, { properties: {} })
    expect(exempt.result).toMatchObject({
      signatureVerified: false,
      verification: { verdict: 'not-required', policy: { rule: 'rule 1', signature: 'off' } },
    })
    expect(readFileSync(exempt.target).equals(readFileSync(image))).toBe(true)
  })

  it.each([
    [{ key_types: ['RSA-PSS'] }, 'policy-refused'],
    [{ certificates: [rsaFile] }, 'certificate-untrusted'],
    [{ maximum_age: '1d' }, 'policy-refused'],
    [{ formats: ['qcow2'] }, 'policy-refused'],
    [{ signature: 'off', maximum_age: '1d' }, 'policy-refused'],
    [{ signature: 'off', formats: ['qcow2'] }, 'policy-refused'],
  ])('leaves nothing of what is refused: %j', async (rule, code) => {
    const { result, target } = await writing(rule)
    expect(result).toBeInstanceOf(ImageRefused)
    expect(result).toMatchObject({ code })
    expect(existsSync(target)).toBe(false)
  })
})

describe('the report', () => {
  it('names the rule, and each check of it', async () => {
    const rule = {
      name: 'all',
      key_types: ['ECC_SECP384R1'],
      maximum_age: '2d',
      certificates: [ecFile],
    }
    const policy = await policyOf({ ...rule, formats: ['raw'] })
    const report = await verifyImage({ image, properties: byEc, policy, subject: ago(1) })
    expect(report.policy).toEqual({ policy: policy.name, rule: 'all', signature: 'required' })
    expect(report.trust).toBe('pinned')
    const names = report.checks.filter(({ result }) => result === 'pass').map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining([
        'policy-key-type',
        'policy-certificate',
        'policy-age',
        'policy-format',
      ]),
    )
  })

  it('is of the rule that is explained', async () => {
    const policy = await policyOf({ images: ['a*'] })
    expect(explainPolicy(policy, { imageName: 'abc' })).toMatchObject({
      matched: true,
      considered: [{ applies: 'yes', why: 'the image name "abc" is a*' }],
    })
    expect(explainPolicy(policy, { imageName: 'b' })).toMatchObject({ matched: false })
  })
})

describe('a policy that cannot be read', () => {
  it.each([
    ['missing.yaml', 'not-found'],
    ['.', 'usage'],
    ['latin1.yaml', 'usage'],
    ['broken.yaml', 'usage'],
  ])('%s', async (name, code) => {
    writeFileSync(join(directory, 'latin1.yaml'), Buffer.from('version: 1\nname: \xe4', 'latin1'))
    writeFileSync(join(directory, 'broken.yaml'), 'version: 1\nrules: [')
    await expect(loadPolicy(join(directory, name))).rejects.toMatchObject({ code })
  })
})
