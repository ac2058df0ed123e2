import { describe, expect, it } from 'vitest'
import { CertificateRefused, checkCertificate } from '../../src/index.js'
import { Authority, CA, type Issued, SIGNER } from '../harness/authority.js'
import { askCursiveTrust, hasCursive } from '../harness/cursive.js'
import { scratchDirectory } from '../harness/run.js'
import { loop } from './cases.js'

/**
 * What nova's own certificate validation does (cursive 0.2.3, certificate_utils.py), run for real
 * beside ours: where it never ends, crashes or does not look, ours has a verdict.
 */
const authority = new Authority(scratchDirectory())
const CA_WITH_LENGTH = ['basicConstraints=critical,CA:TRUE,pathlen:3', CA[1] ?? '']

/** `accept`, `endless`, or the words of a refusal, or the Python error that escapes. */
function cursive(signer: Issued, trusted: readonly Issued[]): string {
  const certificates = trusted.map(({ pem }) => pem.toString())
  const [answer] = askCursiveTrust([{ signer: signer.pem.toString(), certificates }])
  return answer?.error ?? answer?.message ?? answer?.outcome ?? ''
}

/** `path`, `pinned`, or the words of the refusal; all that nova is given is trusted. */
function ours(signer: Issued, trusted: readonly Issued[]): string {
  try {
    const pems = trusted.map(({ pem }) => pem)
    return checkCertificate({ certificate: signer.pem, trusted: pems }).trust
  } catch (error) {
    if (error instanceof CertificateRefused) return error.message
    throw error
  }
}

/** The verdicts of both on a signer under CAs of its own. */
function both(
  cas: readonly (readonly string[])[],
  signerExtensions: readonly string[] = SIGNER,
  digest = 'sha256',
): { cursive: string; ours: string } {
  const made: Issued[] = []
  for (const [index, extensions] of cas.entries()) {
    made.push(
      authority.issue({ subject: `CA ${index}`, issuer: made.at(-1), extensions, key: 'rsa' }),
    )
  }
  const order = { subject: 'signer', issuer: made.at(-1), extensions: signerExtensions, digest }
  const signer = authority.issue(order)
  return { cursive: cursive(signer, made), ours: ours(signer, made) }
}

describe.skipIf(!hasCursive)(
  'cursive and ours (Debian package python3-cursive)',
  { timeout: 60_000 },
  () => {
    it('agree on a signer under a CA with pathlen', () => {
      expect(both([CA_WITH_LENGTH])).toEqual({ cursive: 'accept', ours: 'path' })
    })

    it('endless loop: two CAs that issued one another, both trusted', () => {
      const { signer, untrusted } = loop(authority, ['A', 'B'])
      expect(cursive(signer, untrusted)).toBe('endless')
      expect(ours(signer, untrusted)).toBe('path')
    })

    it('crash: a CA without pathlen, the normal case', () => {
      expect(both([CA])).toEqual({ cursive: 'TypeError', ours: 'path' })
    })

    it('crash: a CA with Ed25519', () => {
      const ca = authority.issue({ subject: 'ed', key: 'ed25519', extensions: CA_WITH_LENGTH })
      const signer = authority.issue({ subject: 'signer', issuer: ca, extensions: SIGNER })
      expect(cursive(signer, [ca])).toBe('TypeError')
      expect(ours(signer, [ca])).toMatch(/signed by Ed25519/)
    })

    it('not looked at: critical extensions, purposes, key usage, SHA-1', () => {
      const unknown = [...SIGNER, '1.2.3.4.5=critical,ASN1:NULL']
      const cases = [
        [both([CA_WITH_LENGTH], unknown), /critical extension 1\.2\.3\.4\.5/],
        [both([CA_WITH_LENGTH], [...SIGNER, 'extendedKeyUsage=serverAuth']), /serverAuth/],
        [both([CA_WITH_LENGTH], ['keyUsage=critical,keyEncipherment']), /may not sign data/],
        [both([CA_WITH_LENGTH], SIGNER, 'sha1'), /RSA with SHA-1/],
      ] as const
      for (const [{ cursive: theirs, ours: said }, says] of cases) {
        expect(theirs).toBe('accept')
        expect(said).toMatch(says)
      }
    })

    it('no backtracking: two certificates of one CA, of which the first leads nowhere', () => {
      const root = authority.issue({ subject: 'R', key: 'rsa', extensions: CA_WITH_LENGTH })
      const elsewhere = authority.issue({ subject: 'E', key: 'rsa', extensions: CA_WITH_LENGTH })
      const order = { subject: 'CA', key: 'rsa', extensions: CA_WITH_LENGTH } as const
      const dead = authority.issue({ ...order, issuer: elsewhere })
      const alive = authority.issue({ ...order, issuer: root, key: dead })
      const signer = authority.issue({ subject: 'signer', issuer: dead, extensions: SIGNER })
      expect(cursive(signer, [dead, alive, root])).toMatch(
        /^Certificate chain building failed|^certificate '0'$/,
      )
      expect(cursive(signer, [alive, dead, root])).toBe('accept')
      expect(ours(signer, [dead, alive, root])).toBe('path')
    })

    it('a self-signed certificate of version 1, as the guides make it, can only be pinned', () => {
      const signer = authority.issue({ subject: 'signer', key: 'rsa', extensions: [] })
      expect(cursive(signer, [signer])).toMatch(
        /^Certificate chain building failed|^certificate '0'$/,
      )
      expect(ours(signer, [signer])).toBe('pinned')
    })
  },
)
