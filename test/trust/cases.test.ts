import { describe, expect, it } from 'vitest'
import { CertificateRefused, checkCertificate, type PathReport } from '../../src/index.js'
import { Authority, type Judged, opensslAccepts, SIGNER } from '../harness/authority.js'
import { scratchDirectory } from '../harness/run.js'
import { CASES } from './cases.js'

const authority = new Authority(scratchDirectory())

function judge({ signer, trusted, untrusted = [], crls = [], at }: Judged): PathReport {
  return checkCertificate({
    certificate: signer.pem,
    trusted: trusted.map(({ pem }) => pem),
    untrusted: untrusted.map(({ pem }) => pem),
    crls,
    at,
  })
}

function refusal(judged: Judged): CertificateRefused {
  try {
    judge(judged)
  } catch (error) {
    if (error instanceof CertificateRefused) return error
    throw error
  }
  throw new Error('expected a refusal')
}

describe.each(CASES)('$name', ({ make, verdict, openssl }) => {
  it('is judged by RFC 5280 and our floors', () => {
    const judged = make(authority)
    if (typeof verdict === 'string') {
      const report = judge(judged)
      expect(report.trust).toBe(verdict)
      expect(report.path.flatMap(({ checks }) => checks.filter(isFailed))).toEqual([])
    } else {
      const [check, says] = verdict
      const error = refusal(judged)
      expect(error.message).toMatch(says)
      expect(error.report.trust).toBe('none')
      const failed = error.report.path.flatMap(({ checks }) => checks.filter(isFailed))
      if (check !== 'signature') expect(failed.map(({ name }) => name)).toContain(check)
    }
    const [accepts] = openssl ?? [typeof verdict === 'string']
    const strictly = opensslAccepts(authority, judged, '-x509_strict', '-auth_level', '0')
    expect(strictly).toBe(accepts)
  })
})

function isFailed({ result }: { readonly result: string }): boolean {
  return result === 'fail'
}

describe('a time that is none', () => {
  it('is refused, where nothing would be before or after it', () => {
    const { pem } = authority.issue({ subject: 'pinned', extensions: SIGNER })
    const at = new Date('never')
    expect(() => checkCertificate({ certificate: pem, trusted: [pem], at })).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining('invalid Date') }),
    )
  })
})
