import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  ImageRefused,
  loadPolicy,
  signImage,
  type VerifyOptions,
  type VerifyReport,
  verifyImage,
} from '../../../src/index.js'
import { Authority, type Issued, SIGNER } from '../../harness/authority.js'
import { run, scratchDirectory } from '../../harness/run.js'

/** Policies that list a CA, whose signers are then accepted by a path. */

const directory = scratchDirectory()
const image = join(directory, 'image')
writeFileSync(image, randomBytes(100_000))

const authority = new Authority(directory)
const root = authority.issue({ subject: 'root' })
const middle = authority.issue({ subject: 'middle', issuer: root })
const other = authority.issue({ subject: 'other CA' })
const key = authority.issue({ subject: 'key', key: 'p384' })
const leaf = issueSigner(root)
const deep = issueSigner(middle)
const stranger = issueSigner(other)
const unrelated = authority.issue({ subject: 'unrelated', key: 'p384', extensions: SIGNER })
const { properties } = await signImage({ image, key: readFileSync(key.key), write: false })

/** All signers have one key, so that nothing but trust tells them apart. */
function issueSigner(issuer: Issued): Issued {
  return authority.issue({ subject: 'signer', issuer, key, extensions: SIGNER })
}

function fingerprint({ path }: Issued): { readonly fingerprint: string } {
  const line = run('openssl', ['x509', '-in', path, '-noout', '-fingerprint', '-sha256'])
  return { fingerprint: line.toString().trim().replace(/.*=/, '') }
}

function file({ path }: Issued): { readonly file: string } {
  return { file: path }
}

async function judge(
  certificates: readonly object[],
  signer: Issued,
  more: Partial<VerifyOptions> = {},
): Promise<VerifyReport> {
  const path = authority.path('policy.yaml')
  writeFileSync(path, JSON.stringify({ version: 1, rules: [{ certificates }] }))
  const policy = await loadPolicy(path)
  return await verifyImage({ image, properties, certificate: signer.pem, policy, ...more })
}

async function refusal(...given: Parameters<typeof judge>): Promise<ImageRefused> {
  const error = await judge(...given).catch((caught: unknown) => caught)
  if (error instanceof ImageRefused) return error
  throw new Error('expected a refusal', { cause: error })
}

describe('a policy that lists a CA', () => {
  it('accepts a signer below it, by a path', async () => {
    const report = await judge([file(root)], leaf)
    expect(report).toMatchObject({ verdict: 'accepted', trust: 'path' })
    expect(report.path?.map(({ role }) => role)).toEqual(['signer', 'anchor'])
    expect(report.checks).toContainEqual({
      name: 'policy-certificate',
      result: 'pass',
      expected: 'one of 1 certificates, or a path to one',
      found: `a path to ${fingerprint(root).fingerprint.replaceAll(':', '').toLowerCase()}`,
      source: 'policy: certificates; RFC 5280 §6.1',
    })
  })

  it.each<[string, Partial<VerifyOptions>]>([
    ['untrusted', { untrusted: [middle.pem] }],
    ['trusted by the caller', { trusted: [middle.pem] }],
    ["behind the signer's", { certificate: Buffer.concat([deep.pem, middle.pem]) }],
  ])('takes what stands between from who names it: %s', async (_, more) => {
    const report = await judge([file(root)], deep, more)
    expect(report.path?.map(({ role }) => role)).toEqual(['signer', 'intermediate', 'anchor'])
  })

  it('refuses a signer of another CA, whomever the caller trusts', async () => {
    for (const more of [{}, { trusted: [other.pem] }, { trusted: [stranger.pem] }]) {
      const error = await refusal([file(root)], stranger, more)
      expect(error.code).toBe('certificate-untrusted')
      expect(error.report).toMatchObject({ trust: 'none', verdict: 'certificate-untrusted' })
      expect(error.message).toMatch(/the policy \(rule 1\)/)
    }
  })

  it('looks at revocation', async () => {
    const crls = [authority.revoke(root, [leaf])]
    expect((await refusal([file(root)], leaf, { crls })).message).toMatch(/revoked/)
    const good = [authority.revoke(root, [])]
    expect((await judge([file(root)], leaf, { crls: good })).trust).toBe('path')
  })

  it('says why a path to it does not hold', async () => {
    const at = new Date('2300-01-01')
    expect((await refusal([file(root)], leaf, { at })).message).toMatch(/expired/)
  })
})

describe('a verdict that is explained', () => {
  it('shows the path and the policy, each check with its source', async () => {
    const report = await judge([file(root)], leaf, { explain: true })
    expect(report).toMatchObject({ verdict: 'accepted', policy: { rule: 'rule 1' } })
    const checks = [report.checks, ...(report.path ?? []).map((found) => found.checks)].flat()
    expect(checks.length).toBeGreaterThan(15)
    expect(checks.filter(({ source }) => !/\w/.test(source))).toEqual([])
    expect(report.explanation?.acceptedBy[0]?.verdict).toBe('accepts')
  })

  it('knows the certificate that only the policy brings', async () => {
    const rules = [file(key)]
    const report = await judge(rules, key, { certificate: undefined, explain: true })
    expect(report).toMatchObject({ verdict: 'accepted', trust: 'pinned' })
    expect(report.explanation?.acceptedBy[0]?.verdict).toBe('accepts')
  })

  it('may be of an image that need not be signed', async () => {
    const path = authority.path('policy.yaml')
    writeFileSync(path, JSON.stringify({ version: 1, rules: [{ signature: 'if-signed' }] }))
    const policy = await loadPolicy(path)
    const report = await verifyImage({ image, properties: {}, policy, explain: true })
    const [digest] = run('sha256sum', [image]).toString().split(' ')
    expect(report).toMatchObject({ verdict: 'not-required', hash: 'SHA-256', digest })
    expect(report.explanation?.acceptedBy[0]?.verdict).toBe('refuses')
  })
})

describe('the profile cursive', () => {
  it('refuses certificates and CRLs given in vain, and holds the rest of a policy', async () => {
    const path = authority.path('policy.yaml')
    writeFileSync(path, JSON.stringify({ version: 1, rules: [{ key_types: ['RSA-PSS'] }] }))
    const given = { image, properties, certificate: leaf.pem, profile: 'cursive' } as const
    const crls = [authority.revoke(root, [])]
    for (const more of [{ crls }, { trusted: [root.pem] }, { untrusted: [middle.pem] }]) {
      await expect(verifyImage({ ...given, ...more })).rejects.toMatchObject({ code: 'usage' })
    }
    const policy = await loadPolicy(path)
    await expect(verifyImage({ ...given, policy })).rejects.toMatchObject({
      code: 'policy-refused',
    })
    expect((await verifyImage(given)).trust).toBe('none')
  })
})

describe('a fingerprint', () => {
  it('pins the signer, and nobody else', async () => {
    expect((await judge([fingerprint(leaf)], leaf)).trust).toBe('pinned')
    const error = await refusal([fingerprint(unrelated)], leaf)
    expect(error.code).toBe('certificate-untrusted')
    expect(error.message).toMatch(/lists neither the certificate CN=signer nor a CA above it/)
    expect(error.report.trust).toBe('none')
  })

  it('of a CA vouches for no signer below it, also beside the trusted CA itself', async () => {
    for (const more of [{}, { trusted: [root.pem] }]) {
      const error = await refusal([fingerprint(root)], leaf, more)
      expect(error.code).toBe('certificate-untrusted')
    }
  })

  it('goes with files: each certificate needs one of them', async () => {
    const listed = [fingerprint(stranger), file(root)]
    expect((await judge(listed, stranger)).trust).toBe('pinned')
    expect((await judge(listed, leaf)).trust).toBe('path')
  })
})

describe('a file of several certificates', () => {
  it('is refused: those behind the first would be trusted unseen', async () => {
    const bundle = authority.path('bundle.pem')
    writeFileSync(bundle, Buffer.concat([leaf.pem, root.pem]))
    await expect(judge([{ file: bundle }], leaf)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('expected one certificate, got 2'),
    })
  })
})
