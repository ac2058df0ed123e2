import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { keyType } from '../../src/core/algorithms.js'
import { keyMisfit, readCertificate } from '../../src/core/certificate.js'
import { pemBlocks } from '../../src/core/pem.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'

/** Certificates made to be taken for something else; python-cryptography makes what openssl does not. */
const directory = scratchDirectory()
const rsa = makeOpensslKey(directory, 'RSA-PSS')
const evil = makeOpensslKey(directory, 'RSA-PSS', 'evil')

const MAKE = `
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
kind, key_path, hidden, out = sys.argv[1:5]
key = serialization.load_pem_private_key(open(key_path, "rb").read(), None)
public = key.public_key()
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "honest")])
now = datetime.datetime.utcnow()
builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public)
           .serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9)))
if kind == "smuggle":
    text = b"\\n" + open(hidden, "rb").read()
    builder = builder.add_extension(
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), text), critical=False)
der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
open(out, "wb").write(der + (b"trailing" if kind == "trailing" else b""))
`

function make(kind: string): Buffer {
  const out = join(directory, kind)
  run('/usr/bin/python3', ['-c', MAKE, kind, rsa.key, evil.certificate, out])
  return readFileSync(out)
}

describe('a hostile certificate', () => {
  it('that hides another one in an extension is read as itself', () => {
    const found = readCertificate(make('smuggle'), 'it')
    expect(found.subject).toBe('CN=honest')
    const publicKey = found.publicKey.export({ type: 'spki', format: 'pem' })
    expect(publicKey).toBe(readFileSync(rsa.publicKey, 'utf8'))
  })

  it('with bytes behind it is refused', () => {
    expect(() => readCertificate(make('trailing'), 'it')).toThrow(/expected/)
    expect(readCertificate(make('plain'), 'it').subject).toBe('CN=honest')
  })

  it('with an exponent that lets everybody or nobody sign fits no key type', () => {
    const { n } = createPublicKey(readFileSync(rsa.publicKey)).export({ format: 'jwk' })
    const withExponent = (e: string) =>
      createPublicKey({ key: { kty: 'RSA', n: String(n), e }, format: 'jwk' })
    expect(keyMisfit(withExponent('AQ'), keyType('RSA-PSS'))).toMatch(/odd public exponent/)
    expect(keyMisfit(withExponent('AQAA'), keyType('RSA-PSS'))).toMatch(/odd public exponent/)
    expect(keyMisfit(withExponent('AQAB'), keyType('RSA-PSS'))).toBeUndefined()
    expect(keyMisfit(withExponent('Aw'), keyType('RSA-PSS'))).toBeUndefined()
  })
})

describe('PEM', () => {
  it('is scanned once, whatever is in it', () => {
    // The quadratic way takes minutes of this, more than a test may.
    const many = '-----BEGIN A-----\n'.repeat(240_000)
    expect(pemBlocks(many)).toEqual([])
    expect(pemBlocks(`${many}-----END A-----`)).toHaveLength(1)
  })
})
