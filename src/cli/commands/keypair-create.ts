import { Option } from '@commander-js/extra-typings'
import { KEY_TYPES } from '../../core/algorithms.js'
import { writeNewFile } from '../../core/files.js'
import { consume, type Secret } from '../../core/secret.js'
import { createKeyPair, isSlowToDraw, type KeyPairPlan } from '../../face/keys.js'
import {
  act,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
  wholeNumber,
} from '../cli.js'
import { FILE_CODES } from '../exit-codes.js'
import { fileName, withPassphrase } from '../inputs.js'

const TYPES = KEY_TYPES.map(({ name }) => name)

export const makeCommand: MakeCommand = (cli) =>
  newCommand('create', {
    summary: 'make a signing key: PKCS#8 PEM, mode 0600',
    example: 'volseal keypair create --type RSA-PSS --out key.pem',
    exitCodes: FILE_CODES,
  })
    .addOption(
      new Option('--type <type>', 'key type; RSA-PSS makes a plain RSA key, as genrsa does')
        .choices(TYPES)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <file>', 'where the private key goes')
    .option(
      '--bits <n>',
      'RSA: 2048 to 8192, DSA: 2048 or 3072 (default 3072)',
      wholeNumber('--bits'),
    )
    .option('--passphrase-file <file>', 'encrypt the key; - is stdin')
    .option('--force', 'replace a file that is there')
    .addOption(jsonOption())
    .action(
      act(cli, 'keypair-create', async ({ type, out, bits, passphraseFile, force }) => {
        const path = fileName(out, '--out')
        await withPassphrase(cli, passphraseFile, async (passphrase) => {
          const pem = await drawKeyPair(cli, { keyType: type, bits }, passphrase)
          await consume(pem, async () => {
            await writeNewFile(path, pem.bytes(), { mode: 0o600, force: force === true })
          })
        })
        const encrypted = passphraseFile !== undefined
        return {
          body: { out, keyType: type, encrypted },
          text: `made ${out} (${type}${encrypted ? ', encrypted' : ''})`,
        }
      }),
    )

/** Large keys take a while, in a thread of Node's that cannot be stopped. */
async function drawKeyPair(cli: Cli, plan: KeyPairPlan, passphrase?: Secret): Promise<Secret> {
  if (isSlowToDraw(plan) && cli.streams.stderr.isTTY) {
    note(cli, 'drawing a key of this size can take half a minute')
  }
  cli.unstoppable = true
  const pem = await createKeyPair(plan, passphrase, cli.signal)
  cli.unstoppable = false
  return pem
}
