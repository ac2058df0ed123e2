import { describe, expect, it } from 'vitest'
import { CertificateRefused, checkCertificate } from '../../src/index.js'
import {
  Authority,
  type Issued,
  type Judged,
  opensslAccepts,
  SIGNER,
} from '../harness/authority.js'
import { run, scratchDirectory } from '../harness/run.js'

const authority = new Authority(scratchDirectory())
const root = authority.issue({ subject: 'root', key: 'rsa' })
const middle = authority.issue({ subject: 'middle', issuer: root })
const signer = authority.issue({ subject: 'signer', issuer: middle, extensions: SIGNER })
const other = authority.issue({ subject: 'other', issuer: middle, extensions: SIGNER })

const ofRoot = authority.revoke(root, [])
const ofMiddle = authority.revoke(middle, [other])

function judged(crls: readonly Buffer[], at?: Date): Judged {
  return { signer, trusted: [root], untrusted: [middle], crls, ...(at === undefined ? {} : { at }) }
}

/** The refusal's words; undefined when accepted. openssl must say the same unless told otherwise. */
function refusal(judge: Judged, openssl?: boolean): string | undefined {
  const said = ourRefusal(judge)
  expect(opensslAccepts(authority, judge)).toBe(openssl ?? said === undefined)
  return said
}

function ourRefusal({ signer: certificate, trusted, untrusted = [], crls, at }: Judged) {
  const pems = (issued: readonly Issued[]): Buffer[] => issued.map(({ pem }) => pem)
  try {
    const { path } = checkCertificate({
      certificate: certificate.pem,
      trusted: pems(trusted),
      untrusted: pems(untrusted),
      crls,
      at,
    })
    const looked = path.map(
      ({ checks }) => checks.find(({ name }) => name === 'revocation')?.result,
    )
    expect(looked).toEqual(path.map((_, index) => (index < path.length - 1 ? 'pass' : undefined)))
    return undefined
  } catch (error) {
    if (error instanceof CertificateRefused) return error.message
    throw error
  }
}

/** openssl makes no critical entry extensions: a list by Python, with the invalidity date as one. */
function listWithCriticalEntries(issuer: Issued, revoked: readonly Issued[]): Buffer {
  const script = `
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
def load(path):
    return x509.load_pem_x509_certificate(open(path, "rb").read())
key = serialization.load_pem_private_key(open(sys.argv[2], "rb").read(), None)
now = datetime.datetime.utcnow()
builder = (x509.CertificateRevocationListBuilder().issuer_name(load(sys.argv[1]).subject)
           .last_update(now - datetime.timedelta(1)).next_update(now + datetime.timedelta(9)))
for path in sys.argv[3:]:
    entry = (x509.RevokedCertificateBuilder().serial_number(load(path).serial_number)
             .revocation_date(now).add_extension(x509.InvalidityDate(now), True).build())
    builder = builder.add_revoked_certificate(entry)
crl = builder.sign(key, hashes.SHA256())
sys.stdout.buffer.write(crl.public_bytes(serialization.Encoding.PEM))
`
  const paths = revoked.map(({ path }) => path)
  return run('/usr/bin/python3', ['-c', script, issuer.path, issuer.key, ...paths])
}

function repeated(list: Buffer, count: number): Buffer[] {
  return Array.from({ length: count }, () => list)
}

const inDays = (days: number): Date => new Date(Date.now() + days * 86_400_000)

describe('with revocation lists, a path', () => {
  it('is good when no certificate is on a current list of its issuer', () => {
    expect(refusal(judged([ofRoot, ofMiddle]))).toBeUndefined()
    const der = [ofRoot, ofMiddle].map((pem) => run('openssl', ['crl', '-outform', 'der'], pem))
    expect(ourRefusal(judged(der))).toBeUndefined()
    expect(ourRefusal(judged([Buffer.concat([ofRoot, ofMiddle])]))).toBeUndefined()
  })

  it('is refused when the signer is revoked', () => {
    const revoked = refusal(judged([ofRoot, authority.revoke(middle, [other, signer])]))
    expect(revoked).toBe('the certificate CN=signer: it is revoked')
  })

  it('is refused when an intermediate is revoked', () => {
    const revoked = refusal(judged([authority.revoke(root, [middle]), ofMiddle]))
    expect(revoked).toMatch(/CN=middle above it: it is revoked/)
  })

  it('is refused when one of several lists names it', () => {
    const lists = [ofRoot, ofMiddle, authority.revoke(middle, [signer])]
    expect(ourRefusal(judged(lists))).toMatch(/CN=signer: it is revoked/)
  })

  it('is refused when so many lists are given that not all can be looked at', () => {
    // Whoever has the key of a revoked CA can issue to themselves, so that each list counts thrice.
    const upper = authority.issue({ subject: 'middle', issuer: middle })
    const lower = authority.issue({ subject: 'middle', issuer: upper })
    const certificate = authority.issue({ subject: 'deep', issuer: lower, extensions: SIGNER })
    const own = [lower, upper, middle].map((issuer) => authority.revoke(issuer, []))
    const forged = authority.revoke(authority.issue({ subject: 'root', key: 'rsa' }), [])
    const revoking = authority.revoke(root, [middle])
    for (let fill = 24; fill <= 30; fill += 1) {
      for (let forgeries = 0; forgeries < 3; forgeries += 1) {
        const many = [...own, ...repeated(ofMiddle, fill), ...repeated(forged, forgeries)]
        const crls = [Buffer.concat([...many, ofRoot]), revoking]
        const given = { signer: certificate, trusted: [root], untrusted: [lower, upper, middle] }
        expect(ourRefusal({ ...given, crls }) ?? { fill, forgeries }).toMatch(/revoked|no path was/)
      }
    }
  })

  it('is refused when a list is missing', () => {
    expect(refusal(judged([ofRoot]))).toMatch(/nobody knows .*: no CRL of CN=middle is given/)
    expect(refusal(judged([ofMiddle]))).toMatch(/CN=middle above it: .* no CRL of CN=root is given/)
  })

  it('is refused when a list is out of date, or of the future', () => {
    expect(refusal(judged([ofRoot, ofMiddle], inDays(31)))).toMatch(/out of date since/)
    const future = authority.revoke(
      middle,
      [],
      [],
      ['-crl_lastupdate', '20900101000000Z', '-crl_nextupdate', '20910101000000Z'],
    )
    expect(refusal(judged([ofRoot, future]))).toMatch(/is of 2090-01-01, which is later/)
  })

  it('is refused when a list is of the right name but by another key', () => {
    const stranger = authority.issue({ subject: 'middle' })
    const forged = refusal(judged([ofRoot, authority.revoke(stranger, [])]))
    expect(forged).toMatch(/the CRL of CN=middle is not signed by the key/)
  })

  it('is refused when the CA may not sign lists', () => {
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']
    const mute = authority.issue({ subject: 'mute', issuer: root, extensions })
    const below = authority.issue({ subject: 'signer', issuer: mute, extensions: SIGNER })
    const crls = [ofRoot, authority.revoke(mute, [])]
    const judge = { signer: below, trusted: [root], untrusted: [mute], crls }
    expect(refusal(judge)).toMatch(/its CA may not sign CRLs \(keyUsage\)/)
  })

  it('is refused when a list is partial, and what it names is revoked', () => {
    const partial = ['issuingDistributionPoint=critical,@point\n[point]\nonlyuser=TRUE']
    const empty = authority.revoke(middle, [], partial)
    // openssl handles lists that are for users' certificates only.
    expect(refusal(judged([ofRoot, empty]), true)).toMatch(
      /issuingDistributionPoint .* may not be of all/,
    )
    expect(ourRefusal(judged([ofRoot, ofMiddle, empty]))).toBeUndefined()
    const naming = authority.revoke(middle, [signer], partial)
    expect(ourRefusal(judged([ofRoot, ofMiddle, naming]))).toMatch(/CN=signer: it is revoked/)
  })

  it('is refused when an entry has a critical extension, and what such a list names is revoked', () => {
    const naming = listWithCriticalEntries(middle, [other, signer])
    expect(ourRefusal(judged([ofRoot, ofMiddle, naming]))).toMatch(/CN=signer: it is revoked/)
    const silent = listWithCriticalEntries(middle, [other])
    expect(ourRefusal(judged([ofRoot, silent]))).toMatch(/critical extension .*2\.5\.29\.24/)
    expect(ourRefusal(judged([ofRoot, ofMiddle, silent]))).toBeUndefined()
    const stranger = authority.issue({ subject: 'middle' })
    const forged = listWithCriticalEntries(stranger, [signer])
    expect(ourRefusal(judged([ofRoot, ofMiddle, forged]))).toBeUndefined()
  })

  it('is refused when a list has a critical extension (limbo rfc5280::crl::crlnumber-critical)', () => {
    const odd = authority.revoke(middle, [], ['2.5.29.20=critical,DER:020101'])
    expect(refusal(judged([ofRoot, odd]))).toMatch(/critical extension cRLNumber/)
  })

  it('is refused when a list is signed with SHA-1', () => {
    const old = authority.revoke(middle, [], [], ['-crldays', '30', '-md', 'sha1'])
    expect(refusal(judged([ofRoot, old]), true)).toMatch(/signed by ECDSA with SHA-1/)
  })

  it('says that revocation was not looked at when there is none', () => {
    const { path } = checkCertificate({
      certificate: signer.pem,
      trusted: [root.pem],
      untrusted: [middle.pem],
    })
    const [first] = path
    expect(first?.checks.find(({ name }) => name === 'revocation')).toMatchObject({
      result: 'skipped',
    })
  })
})

describe('what is no revocation list', () => {
  it.each([
    ['a certificate', root.pem, /expected a PEM X509 CRL or DER, got CERTIFICATE/],
    ['nothing', Buffer.from(''), /got no PEM block/],
    [
      'half of one',
      run('openssl', ['crl', '-outform', 'der'], ofRoot).subarray(0, 90),
      /an element/,
    ],
  ])('%s is an error of its own', (_what, content, says) => {
    expect(() =>
      checkCertificate({ certificate: signer.pem, trusted: [root.pem], crls: [content] }),
    ).toThrow(says)
  })
})
