import { writeNewFile } from '../../core/files.js'
import { createRequest } from '../../face/keys.js'
import { act, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { readKey, withPassphrase } from '../inputs.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('request', {
    summary: 'make a certificate request (PKCS#10) for a CA to sign',
    example: 'volseal cert request --key key.pem --subject "CN=image signing" --out request.pem',
    exitCodes: ['usage', 'signature-malformed', 'forbidden', 'not-found', 'io'],
  })
    .requiredOption('--key <file>', 'the signing key')
    .option('--passphrase-file <file>', 'opens the key; - is stdin')
    .requiredOption('--subject <name>', 'such as "CN=image signing,O=Example"')
    .requiredOption('--out <file>', 'where the request goes')
    .option('--force', 'replace a file that is there')
    .addOption(jsonOption())
    .action(
      act(cli, 'cert-request', async ({ key, passphraseFile, subject, out, force }) => {
        await withPassphrase(cli, passphraseFile, async (passphrase) => {
          const opened = await readKey(cli, key, passphrase)
          await writeNewFile(out, await createRequest(subject, opened), { force: force === true })
        })
        return { body: { out, subject }, text: `made ${out}` }
      }),
    )
