import { isUtf8 } from 'node:buffer'
import { VolsealError } from '../../core/errors.js'
import { writeNewFile } from '../../core/files.js'
import { act, addOptions, type Cli, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import type { Outcome } from '../output.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('get', {
      summary: "print a secret's bytes, or write them to a file of mode 0600",
      example: 'volseal secret get "$CERT_ID" --out fetched.pem',
      exitCodes: SECRET_CODES,
    })
      .argument('<id>', "the secret's id")
      .option('--out <file>', 'file for the bytes; - prints them even to a terminal')
      .option('--force', 'replace a file that is there'),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(
        cli,
        'secret-get',
        async (id, options) =>
          await withKeyManager(cli, options, async (keyManager): Promise<Outcome> => {
            const { out } = options
            // What is not shown need not be asked for.
            const secret = options.json === true ? keyManager.get(id) : keyManager.fetch(id)
            const { payload, ...info } = await secret
            if (out === undefined || out === '-') {
              if (out === undefined && options.json !== true) refuseBinary(cli, payload.bytes())
              // With --json, asking for the secret is asking for it in the JSON.
              const body = { ...info, payload: payload.bytes().toString('hex') }
              return { body, text: '', raw: payload.bytes() }
            }
            await writeNewFile(out, payload.bytes(), { mode: 0o600, force: options.force === true })
            payload.wipe()
            return { body: { ...info, out }, text: `wrote ${out}` }
          }),
      ),
    )

function refuseBinary(cli: Cli, bytes: Buffer): void {
  if (!cli.streams.stdout.isTTY || isUtf8(bytes)) return
  throw new VolsealError('usage', 'the secret is binary, and stdout is a terminal', {
    hint: 'write it to a file with --out FILE, or print it all the same with --out -',
  })
}
