import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { CertificateRefused, checkCertificate } from '../../src/index.js'
import { run } from '../harness/run.js'

/**
 * NIST's Public Key Interoperability Test Suite (PKITS, 2011): 405 certificates and 173 CRLs, of which
 * the names say what is to come out. Debian has it in python3-cryptography-vectors.
 */
const SUITE = '/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data/'
const AT = new Date('2020-01-01')

/** Valid paths that are refused all the same, and why. Nothing invalid is accepted. */
const REFUSED: Readonly<Record<string, readonly RegExp[]>> = {
  'policies are not processed, so what demands them is not understood': [
    /^ValidPolicyMappingTest/,
    /^Valid(SelfIssued)?(inhibitAnyPolicy|inhibitPolicyMapping|requireExplicitPolicy)Test/,
    /^inhibitAnyPolicyTest3/,
    /^(AllCertificates|Any|Different|Overlapping).*Polic(y|ies)Test/,
    /^UserNoticeQualifierTest18/,
  ],
  'constraints of DNS, e-mail and URI names are not compared': [
    /^Valid(DNS|RFC822|URI|DNandRFC822)nameConstraintsTest/,
  ],
  'partial and indirect CRLs do not say that a certificate is good': [
    /^Valid(distributionPoint|IDPwithindirectCRL|cRLIssuer|onlySomeReasons|deltaCRL)Test/,
    /^ValidonlyContainsCACertsTest13/,
  ],
  'a CRL must be signed by the key that signed the certificate': [
    /^ValidBasicSelfIssued(CRLSigningKey|NewWithOld|OldWithNew)Test/,
    /^ValidSelfIssuedpathLenConstraintTest/,
    /^ValidDNnameConstraintsTest19/,
    /^ValidSeparateCertificateandCRLKeysTest19/,
  ],
  'DSA signs no certificates': [/^ValidDSA/],
}

/** Keys without their parameters, and a signature that is not of whole bytes: errors, not verdicts. */
const MALFORMED = /DSAParameterInheritance|^Invalid.*SignatureTest/

const ROLLED_OVER = 'a CRL must be signed by the key that signed the certificate'

interface Entry {
  readonly name: string
  readonly content: Buffer
  readonly subject: string
  readonly issuer: string
}

const isThere = existsSync(SUITE)

describe.skipIf(!isThere)('PKITS (needs python3-cryptography-vectors)', () => {
  const entries = isThere ? readCertificates() : []
  const lists = isThere ? readLists() : []
  const signers = entries.filter(({ name }) => name.endsWith('EE.crt'))

  it('accepts no invalid path, and of the valid ones refuses those that are listed', () => {
    const accepted: string[] = []
    const refused: string[] = []
    for (const signer of signers) {
      const isInvalid = signer.name.startsWith('Invalid')
      const isAccepted = accepts(signer, entries, lists)
      if (isInvalid && isAccepted) accepted.push(signer.name)
      if (!isInvalid && !isAccepted) refused.push(signer.name)
    }
    expect(accepted).toEqual([])
    const patterns = Object.values(REFUSED).flat()
    expect(refused.filter((name) => !patterns.some((pattern) => pattern.test(name)))).toEqual([])
    expect(patterns.filter((pattern) => !refused.some((name) => pattern.test(name)))).toEqual([])
    expect(lists.length).toBeGreaterThan(150)
    expect(signers.length).toBeGreaterThan(220)
    expect(refused.length).toBeLessThan(70)
  })

  it('accepts what only fails for the key of a CRL when no CRL is asked for', () => {
    const rolledOver = signers.filter(({ name }) =>
      REFUSED[ROLLED_OVER]?.some((pattern) => pattern.test(name)),
    )
    const still = rolledOver.filter((signer) => !accepts(signer, entries, []))
    expect(rolledOver.length).toBeGreaterThan(6)
    expect(still.map(({ name }) => name)).toEqual([])
  })
})

function readCertificates(): Entry[] {
  return readdirSync(`${SUITE}certs`).map((name) => {
    const content = readFileSync(`${SUITE}certs/${name}`)
    const { subject, issuer } = new X509Certificate(content)
    return { name, content, subject: normal(subject), issuer: normal(issuer) }
  })
}

function readLists(): Entry[] {
  return readdirSync(`${SUITE}crls`).map((name) => {
    const path = `${SUITE}crls/${name}`
    const format = ['-nameopt', 'sep_multiline,sname,utf8']
    const printed = run('openssl', [
      'crl',
      '-inform',
      'der',
      '-in',
      path,
      '-noout',
      '-issuer',
      ...format,
    ])
    const issuer = normal(printed.toString().replace(/^issuer=\n/, ''))
    return { name, content: readFileSync(path), subject: '', issuer }
  })
}

/** As RFC 5280 §7.1 compares: no case, no escapes, single spaces. Node has undefined for no name. */
function normal(name: string | undefined): string {
  const lines = (name ?? '').trim().split('\n')
  return lines
    .map((line) => line.toLowerCase().replaceAll('\\', '').replace('=', '= '))
    .map((line) => line.replaceAll(/\s+/g, ' ').trim())
    .join('\n')
}

/** With all certificates and CRLs of the suite that could lead to its one trust anchor. */
function accepts(signer: Entry, entries: readonly Entry[], lists: readonly Entry[]): boolean {
  const anchor = entries.find(({ name }) => name === 'TrustAnchorRootCertificate.crt')
  if (anchor === undefined) throw new Error('the suite has no trust anchor')
  const pool = new Set<Entry>()
  const rest = [signer]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { issuer } = next
    const issuers = entries.filter((entry) => entry.subject === issuer && entry !== anchor)
    for (const entry of issuers) {
      if (pool.has(entry)) continue
      pool.add(entry)
      rest.push(entry)
    }
  }
  const names = new Set([anchor, ...pool].map(({ subject }) => subject))
  try {
    checkCertificate({
      certificate: signer.content,
      trusted: [anchor.content],
      untrusted: [...pool].map(({ content }) => content),
      crls: lists.filter(({ issuer }) => names.has(issuer)).map(({ content }) => content),
      at: AT,
    })
    return true
  } catch (error) {
    if (error instanceof CertificateRefused || MALFORMED.test(signer.name)) return false
    throw error
  }
}
