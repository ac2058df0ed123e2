import { writeNewFile } from '../../core/files.js'
import { createRequest } from '../../face/keys.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { CERTIFICATE_CODES } from '../exit-codes.js'
import { PASSPHRASE_OPTIONS, readKeyFile } from '../key-file.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('request', {
      summary: 'make a certificate request (PKCS#10) for a CA to sign',
      example: 'volseal cert request --key key.pem --subject "CN=image signing" --out request.pem',
      exitCodes: CERTIFICATE_CODES,
    }).requiredOption('--key <file>', 'the signing key'),
    PASSPHRASE_OPTIONS,
  )
    .requiredOption('--subject <name>', 'such as "CN=image signing,O=Example"')
    .requiredOption('--out <file>', 'where the request goes')
    .option('--force', 'replace a file that is there')
    .addOption(jsonOption())
    .action(
      act(cli, 'cert-request', async ({ key, subject, out, force, ...passphrase }) => {
        const opened = await readKeyFile(cli, key, passphrase)
        await writeNewFile(out, await createRequest(subject, opened), { force: force === true })
        return { body: { out, subject }, text: `made ${out}` }
      }),
    )
