import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Element, Elements } from '../../src/core/der.js'
import { CertificateRefused, checkCertificate, VolsealError } from '../../src/index.js'
import { Authority, type Issued, SIGNER } from '../harness/authority.js'
import { run, scratchDirectory } from '../harness/run.js'
import { loop } from './cases.js'

/** What was made to keep a verifier busy, or to be read in two ways. */
const directory = scratchDirectory()
const authority = new Authority(directory)
const root = authority.issue({ subject: 'root' })
const honest = authority.issue({ subject: 'signer', issuer: root, extensions: SIGNER })

/** The most work that a verdict may take, whatever it is asked for: see docs/trust.md. */
const MOST = { tries: 1000, signatureChecks: 100 }
/** Elements of DER: an element has two bytes, and a certificate is judged once in each place of a path. */
const MOST_ELEMENTS_PER_BYTE = 0.5

/** The error of a check, which must not have been more work than that. */
function refused(
  signer: Buffer,
  trusted: readonly Buffer[],
  untrusted: readonly Buffer[] = [],
  crls: readonly Buffer[] = [],
) {
  const given = [signer, ...trusted, ...untrusted, ...crls]
  const bytes = given.reduce((sum, { length }) => sum + length, 0)
  const reads = countReads()
  try {
    checkCertificate({ certificate: signer, trusted, untrusted, crls })
  } catch (error) {
    expect(reads.end()).toBeLessThan(bytes * MOST_ELEMENTS_PER_BYTE)
    if (!(error instanceof VolsealError)) throw error
    expectFewSteps(error)
    return error
  }
  throw new Error('expected a refusal')
}

/** Counts elements of DER that are read; a spy of vitest's would keep each of them. */
function countReads(): { end(): number } {
  const any: (this: Elements) => Element = Reflect.get(Elements.prototype, 'any')
  let count = 0
  Elements.prototype.any = function counted() {
    count += 1
    return any.call(this)
  }
  return {
    end: () => {
      Elements.prototype.any = any
      return count
    },
  }
}

function expectFewSteps(error: VolsealError): void {
  if (!(error instanceof CertificateRefused)) return
  expect(error.report.signatureChecks).toBeLessThanOrEqual(MOST.signatureChecks)
  const tries = Number(/after (\d+) tries/.exec(error.message)?.[1] ?? 0)
  // The one that was too much is counted, and not made.
  expect(tries).toBeLessThanOrEqual(MOST.tries + 1)
}

function pems(certificates: readonly Issued[]): Buffer[] {
  return certificates.map(({ pem }) => pem)
}

/** Python makes many certificates sooner than openssl, and such as openssl does not make. */
function python(script: string): Buffer {
  const out = join(directory, 'made')
  const path = join(directory, 'make.py')
  writeFileSync(path, `${PREAMBLE}\n${script}`)
  run('/usr/bin/python3', [path, out])
  return readFileSync(out)
}

const PREAMBLE = `
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
START = datetime.datetime(2020, 1, 1)
def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
def make(subject, key, issuer, by, serial, ca=True):
    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    return (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
            .public_key(key.public_key()).serial_number(serial).not_valid_before(START)
            .not_valid_after(datetime.datetime(2090, 1, 1))
            .add_extension(x509.BasicConstraints(ca, None), True).add_extension(usage, True)
            .sign(by, hashes.SHA256()))
def write(certificates):
    with open(sys.argv[1], "wb") as out:
        for certificate in certificates:
            out.write(certificate.public_bytes(serialization.Encoding.PEM))
`

describe('certificates that are woven to be endless', () => {
  it('two CAs that issued one another, which keep cursive busy for ever', () => {
    const { signer, untrusted } = loop(authority, ['A', 'B'])
    const error = refused(signer.pem, [root.pem], pems(untrusted))
    expect(error.code).toBe('certificate-untrusted')
    expect(error.message).toMatch(/they issued one another/)
    // Both are given already: what helps is to trust one, or another way up.
    expect(error.hint).toMatch(/^name one of them as --trusted .* CN=\w that another CA issued$/)
    // Trusted, as nova is given them: then one of the two is an anchor, and it is well.
    const { trust } = checkCertificate({ certificate: signer.pem, trusted: pems(untrusted) })
    expect(trust).toBe('path')
  })

  it('a CA without pathlen, for which cursive 0.2.3 raises a TypeError', () => {
    const { trust } = checkCertificate({ certificate: honest.pem, trusted: [root.pem] })
    expect(trust).toBe('path')
  })

  it('forty-nine CAs of one name and one key', () => {
    const woven = python(`
key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
cas = [make("A", key, "A", key, serial) for serial in range(1, 50)]
write([make("signer", other, "A", key, 99, False)] + cas)
`)
    const [signer, ...cas] = blocks(woven)
    const error = refused(signer ?? woven, [root.pem], cas)
    expect(error.message).toMatch(/tries and \d+ signature checks, and the search was ended/)
    expect(error).toBeInstanceOf(CertificateRefused)
  })

  it('forty-nine CAs of one name and other keys, large ones', () => {
    const woven = python(`
keys = [rsa.generate_private_key(65537, 2048) for _ in range(3)]
big = serialization.load_pem_private_key(open("${rsa4096()}", "rb").read(), None)
cas = [make("A", big, "A", keys[0], serial) for serial in range(1, 50)]
write([make("signer", keys[1], "A", keys[2], 99, False)] + cas)
`)
    const [signer, ...cas] = blocks(woven)
    expect(refused(signer ?? woven, [root.pem], cas).message).toMatch(/not signed by the key/)
  })

  it('seven CAs, each issued by all the others', () => {
    const woven = python(`
keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(7)]
cas = [make(f"CA{a}", keys[a], f"CA{b}", keys[b], 10 * a + b + 1)
       for a in range(7) for b in range(7) if a != b]
write([make("signer", keys[0], "CA0", keys[0], 999, False)] + cas)
`)
    const [signer, ...cas] = blocks(woven)
    expect(cas).toHaveLength(42)
    expect(refused(signer ?? woven, [root.pem], cas).message).toMatch(/the search was ended/)
  })

  it('says how much is too much, and how much there was', () => {
    const many = python(`
key = serialization.load_pem_private_key(open("${root.key}", "rb").read(), None)
def signer(name_text):
    return (x509.CertificateBuilder().subject_name(name(name_text)).issuer_name(name("root"))
        .public_key(key.public_key()).serial_number(5).not_valid_before(START)
        .not_valid_after(datetime.datetime(2090, 1, 1)))
extended = signer("extended")
for number in range(110):
    oid = x509.ObjectIdentifier(f"1.2.3.4.{number}")
    extended = extended.add_extension(x509.UnrecognizedExtension(oid, b"x"), False)
purposes = [x509.ObjectIdentifier(f"1.2.3.4.{number}") for number in range(120)]
meant = signer("meant").add_extension(x509.ExtendedKeyUsage(purposes), False)
large = signer("large").add_extension(
    x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x" * 70000), False)
write([builder.sign(key, hashes.SHA256()) for builder in (extended, meant, large)])
`)
    const messages = blocks(many).map((pem) => refused(pem, [root.pem]).message)
    expect(messages).toEqual([
      expect.stringMatching(/expected at most 100 extensions, got 110$/),
      expect.stringMatching(/expected at most 100 purposes, got 120$/),
      expect.stringMatching(/expected at most 65536 bytes, got 70\d{3}$/),
    ])
  })

  it('more than fifty are not looked at', () => {
    const many = Array.from({ length: 51 }, () => root.pem)
    expect(refused(honest.pem, many).code).toBe('usage')
    expect(refused(honest.pem, [Buffer.concat(many)]).message).toMatch(/at most 50 .* got 51/)
    const chainOf60 = Buffer.concat([honest.pem, ...Array.from({ length: 60 }, () => root.pem)])
    expect(checkCertificate({ certificate: chainOf60, trusted: [root.pem] }).trust).toBe('path')
  })
})

function blocks(pem: Buffer): Buffer[] {
  const found = pem.toString().match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? []
  return found.map((block) => Buffer.from(block))
}

function rsa4096(): string {
  const path = join(directory, 'rsa4096.pem')
  run('openssl', ['genrsa', '-out', path, '4096'])
  return path
}

/** The bytes of a certificate, and the same with others of the same length. */
function changed(pem: Buffer, from: Buffer, to: Buffer): Buffer {
  const der = run('openssl', ['x509', '-outform', 'der'], pem)
  const at = der.indexOf(from)
  expect(at).toBeGreaterThan(0)
  to.copy(der, at)
  return der
}

describe('certificates that are to be read in two ways', () => {
  const bool = Buffer.from('0101ff', 'hex')

  it('a critical flag that is not DER', () => {
    const altered = changed(honest.pem, bool, Buffer.from('010101', 'hex'))
    const error = refused(altered, [root.pem])
    expect([error.code, error.message]).toEqual([
      'signature-malformed',
      'the certificate CN=signer cannot be used: a BOOLEAN that is not DER',
    ])
  })

  it('an algorithm outside that is not the one inside', () => {
    const der = run('openssl', ['x509', '-outform', 'der'], honest.pem)
    const sha256 = Buffer.from('06082a8648ce3d040302', 'hex')
    Buffer.from('06082a8648ce3d040303', 'hex').copy(der, der.lastIndexOf(sha256))
    expect(refused(der, [root.pem]).message).toMatch(/signed by two algorithms that differ/)
  })

  it('one extension twice', () => {
    const twice = python(`
key = serialization.load_pem_private_key(open("${root.key}", "rb").read(), None)
one = x509.ObjectIdentifier("1.2.3.4.5")
two = x509.ObjectIdentifier("1.2.3.4.6")
builder = (x509.CertificateBuilder().subject_name(name("twice")).issuer_name(name("root"))
    .public_key(key.public_key()).serial_number(5).not_valid_before(START)
    .not_valid_after(datetime.datetime(2090, 1, 1))
    .add_extension(x509.UnrecognizedExtension(one, b"x"), False)
    .add_extension(x509.UnrecognizedExtension(two, b"y"), False))
write([builder.sign(key, hashes.SHA256())])
`)
    const [from, to] = [Buffer.from('06042a030406', 'hex'), Buffer.from('06042a030405', 'hex')]
    const error = refused(changed(twice, from, to), [root.pem])
    expect(error.message).toMatch(/cannot be used: the extension 1\.2\.3\.4\.5 twice/)
  })

  it('a signature that was changed', () => {
    const der = run('openssl', ['x509', '-outform', 'der'], honest.pem)
    der.writeUInt8(der.readUInt8(der.length - 3) ^ 1, der.length - 3)
    expect(refused(der, [root.pem]).message).toMatch(/is not signed by the key/)
  })

  it('an extension that is empty or of another kind', () => {
    const extensions = ['basicConstraints=DER:0500', 'keyUsage=critical,keyCertSign']
    const ca = authority.issue({ subject: 'odd', issuer: root, extensions })
    const signer = authority.issue({ subject: 'signer', issuer: ca, extensions: SIGNER })
    const error = refused(signer.pem, [root.pem], [ca.pem])
    expect(error.message).toMatch(/CN=odd above it: it cannot be read: expected tag 48, got 5/)
  })
})

describe('revocation lists that are large', () => {
  it('are read once, and up to a limit', () => {
    const entries = 29_000
    const list = largeList(entries)
    expect(list.length).toBeGreaterThan(900_000)
    const lists = Array.from({ length: 8 }, () => list)
    expect(refused(honest.pem, [root.pem], [], lists).message).toMatch(
      /the CRL of CN=root is not signed by/,
    )
    const more = [...lists, list]
    expect(refused(honest.pem, [root.pem], [], more).code).toBe('usage')
  })
})

/** A CRL of the root's name, not signed by it. */
function largeList(entries: number): Buffer {
  const element = (tag: number, ...contents: Uint8Array[]): Buffer => {
    const content = Buffer.concat(contents)
    return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content])
  }
  const time = element(0x17, Buffer.from('250101000000Z'))
  const later = element(0x18, Buffer.from('20900101000000Z'))
  const serials = Array.from({ length: entries }, (_, index) => {
    const serial = Buffer.alloc(16, 0x21)
    serial.writeUInt32BE(index, 4)
    return element(0x30, element(0x02, serial), time)
  })
  const algorithm = Buffer.from('300a06082a8648ce3d040302', 'hex')
  const name = Buffer.concat([
    Buffer.from('300f310d300b06035504030c04', 'hex'),
    Buffer.from('root'),
  ])
  const version = element(0x02, Buffer.from([1]))
  const body = element(0x30, version, algorithm, name, time, later, element(0x30, ...serials))
  return element(0x30, body, algorithm, element(0x03, Buffer.alloc(65)))
}

/** The length of an element (X.690 §8.1.3). */
function lengthOf(bytes: number): Buffer {
  if (bytes < 0x80) return Buffer.from([bytes])
  if (bytes < 0x100) return Buffer.from([0x81, bytes])
  if (bytes < 0x10000) return Buffer.from([0x82, bytes >> 8, bytes & 255])
  return Buffer.from([0x83, bytes >> 16, (bytes >> 8) & 255, bytes & 255])
}
