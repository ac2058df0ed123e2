import { readSmallFile } from '../../core/byte-source.js'
import { inspectCertificate } from '../../face/keys.js'
import { act, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { CERTIFICATE_CODES } from '../exit-codes.js'
import { rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('inspect', {
    summary: 'show a certificate, and which image signatures its key can serve',
    example: 'volseal cert inspect cert.pem',
    exitCodes: CERTIFICATE_CODES,
  })
    .argument('<cert>', 'PEM or DER file; - is stdin')
    .addOption(jsonOption())
    .action(
      act(cli, 'cert-inspect', async (path, _options) => {
        const found = await inspectCertificate(
          await readSmallFile(path, 'certificate', cli.signal),
          path,
        )
        const ca = found.ca ? `yes, path length ${found.pathLength ?? 'unlimited'}` : 'no'
        const text = rows([
          ['subject', found.subject],
          ['issuer', found.selfSigned ? 'itself (self-signed)' : found.issuer],
          ['valid', `${found.notBefore} to ${found.notAfter}`],
          ['key', found.publicKey],
          ['key types', found.keyTypes.join(', ') || 'none: it cannot serve image signatures'],
          ['key usage', found.keyUsage?.join(', ') ?? 'not restricted'],
          ['CA', ca],
          ['signed with', found.signatureAlgorithm],
          ['serial', found.serialNumber],
          ['fingerprint', found.fingerprint],
        ])
        return { body: found, text }
      }),
    )
