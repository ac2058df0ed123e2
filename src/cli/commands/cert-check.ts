import { readSmallFile } from '../../core/byte-source.js'
import { VolsealError } from '../../core/errors.js'
import {
  CertificateRefused,
  type CheckCertificateOptions,
  checkCertificate,
  type PathReport,
} from '../../face/trust.js'
import {
  act,
  addOptions,
  jsonOption,
  type MakeCommand,
  newCommand,
  type OptionGroup,
} from '../cli.js'
import { CERTIFICATE_CODES } from '../exit-codes.js'
import { labelOf } from '../inputs.js'
import { KEY_MANAGER_OPTIONS, withLazyKeyManager } from '../key-manager-options.js'
import type { Outcome } from '../output.js'
import { indent, table } from '../text.js'
import { TRUST_OPTIONS, type TrustChoice, trustOptions } from '../trust-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('check', {
      summary: 'does a trusted certificate vouch for this one, as verify would ask?',
      example: 'volseal cert check cert.pem --trusted cert.pem',
      exitCodes: [...CERTIFICATE_CODES, 'certificate-untrusted', 'keystore-damaged'],
    }).argument('<cert>', 'PEM or DER file; those behind it in PEM are untrusted; - is stdin'),
    TRUST_GROUP,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'cert-check', async (path, options) => {
        if (options.trusted === undefined) throw nobody()
        return await withLazyKeyManager(cli, options, async (secrets) =>
          outcomeOf({
            ...(await trustOptions(cli, options, secrets)),
            certificate: await readSmallFile(path, 'certificate', cli.signal),
            certificateName: labelOf(path),
          }),
        )
      }),
    )

const TRUST_GROUP: OptionGroup<TrustChoice> = { options: TRUST_OPTIONS }

function nobody(): VolsealError {
  return new VolsealError('usage', 'nobody is named who could vouch for the certificate', {
    hint: 'name a CA above it, or the certificate itself: --trusted CERT.pem',
  })
}

/** A refusal shows the path too: it says where it ends. */
function outcomeOf(options: CheckCertificateOptions): Outcome {
  try {
    const report = checkCertificate(options)
    return { body: report, text: describe(report) }
  } catch (error) {
    if (!(error instanceof CertificateRefused)) throw error
    return { body: error.report, text: describe(error.report), error }
  }
}

const HOW: Readonly<Record<PathReport['trust'], string>> = {
  pinned: 'accepted: it is one of those trusted',
  path: 'accepted: it has a path to a trusted certificate',
  none: 'refused',
}

type Certificate = PathReport['path'][number]

function describe({ trust, path }: PathReport): string {
  const lines = path.map((certificate) => [
    certificate.role,
    certificate.subject,
    certificate.notAfter.slice(0, 10),
    checksOf(certificate),
  ])
  const isCut = trust === 'none' && !path.some(({ checks }) => checks.some(isFailed))
  const end = isCut ? [['', 'the path ends here', '', '']] : []
  const heading = ['role', 'certificate', 'valid to', 'checks']
  return `${HOW[trust]}\n${indent(table(heading, [...lines, ...end]))}`
}

function checksOf({ checks }: Certificate): string {
  const failed = checks.filter(isFailed).map(({ name }) => name)
  if (failed.length > 0) return `failed: ${failed.join(', ')}`
  const passed = checks.filter(({ result }) => result === 'pass').length
  const withoutCrl = checks.some(({ name, result }) => name === 'revocation' && result !== 'pass')
  return withoutCrl ? `${passed} passed, revocation not looked at` : `${passed} passed`
}

function isFailed({ result }: Certificate['checks'][number]): boolean {
  return result === 'fail'
}
