import { readSmallFile } from '../../core/byte-source.js'
import { VolsealError } from '../../core/errors.js'
import { writeNewFile } from '../../core/files.js'
import { type CertificateOptions, createCertificate, inspectCertificate } from '../../face/keys.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  wholeNumber,
} from '../cli.js'
import { CERTIFICATE_CODES } from '../exit-codes.js'
import { fileName, labelOf, readOptional } from '../inputs.js'
import { PASSPHRASE_OPTIONS, readKeyFile } from '../key-file.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('create', {
      summary: 'make an X.509 certificate for a signing key, self-signed or by a CA',
      example: 'volseal cert create --key key.pem --subject "CN=image signing" --out cert-new.pem',
      exitCodes: CERTIFICATE_CODES,
    }).option('--key <file>', "the certificate's key"),
    PASSPHRASE_OPTIONS,
  )
    .option('--request <file>', 'issue for this request (PEM) instead of a key')
    .option('--subject <name>', 'such as "CN=image signing,O=Example"')
    .option('--days <n>', 'how long it is valid (default 365)', wholeNumber('--days'))
    .option('--ca-key <file>', "the issuing CA's key")
    .option('--ca-cert <file>', "the issuing CA's certificate")
    .option('--ca-passphrase-file <file>', "opens the CA's key")
    .option('--ca', 'make a CA certificate')
    .option('--path-length <n>', 'CAs below this CA (default 0)', wholeNumber('--path-length'))
    .requiredOption('--out <file>', 'where the certificate goes')
    .option('--force', 'replace a file that is there')
    .addOption(jsonOption())
    .action(
      act(cli, 'cert-create', async (options) => {
        const out = fileName(options.out, '--out')
        if (options.ca !== true && options.pathLength !== undefined) {
          throw new VolsealError('usage', '--path-length goes with --ca')
        }
        const { key } = options
        const pem = await createCertificate({
          key: key === undefined ? undefined : await readKeyFile(cli, key, options),
          request: await readOptional(cli, options.request, 'request'),
          requestName: labelOf(options.request),
          subject: options.subject,
          days: options.days,
          issuer: await readIssuer(cli, options),
          ca: options.ca === true ? { pathLength: options.pathLength ?? 0 } : undefined,
        })
        await writeNewFile(out, pem, { force: options.force === true })
        const certificate = await inspectCertificate(Buffer.from(pem))
        const { subject, notAfter } = certificate
        const text = `made ${options.out}: ${subject}, valid to ${notAfter.slice(0, 10)}`
        return { body: { out: options.out, ...certificate }, text }
      }),
    )

interface IssuerChoice {
  readonly caKey?: string | undefined
  readonly caCert?: string | undefined
  readonly caPassphraseFile?: string | undefined
}

async function readIssuer(
  cli: Cli,
  { caKey, caCert, caPassphraseFile }: IssuerChoice,
): Promise<CertificateOptions['issuer']> {
  if (caKey === undefined && caCert === undefined) return undefined
  if (caKey === undefined || caCert === undefined) {
    throw new VolsealError('usage', '--ca-key and --ca-cert are needed together')
  }
  return {
    key: await readKeyFile(cli, caKey, { passphraseFile: caPassphraseFile }),
    certificate: await readSmallFile(caCert, 'CA certificate', cli.signal),
    certificateName: labelOf(caCert),
  }
}
