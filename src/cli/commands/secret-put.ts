import { Option } from '@commander-js/extra-typings'
import { readSmallFile } from '../../core/byte-source.js'
import { readCertificate } from '../../core/certificate.js'
import { VolsealError } from '../../core/errors.js'
import { pemBlocks } from '../../core/pem.js'
import { consume, Secret } from '../../core/secret.js'
import type { SecretType } from '../../face/key-store.js'
import {
  act,
  addOptions,
  type Cli,
  collect,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
} from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { keyValues, labelOf, withoutNewline } from '../inputs.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'

const TYPES = ['certificate', 'symmetric', 'passphrase', 'opaque', 'private', 'public'] as const

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('put', {
      summary: 'keep a certificate, key or passphrase in the key manager',
      example: 'volseal secret put cert.pem --type certificate --name "image signing"',
      exitCodes: [...SECRET_CODES, 'signature-malformed'],
    })
      .argument('<file>', 'what is to be kept; - is stdin')
      .addOption(new Option('--type <type>', 'what it is').choices(TYPES).makeOptionMandatory())
      .option('--name <name>', 'a name for it')
      .option('--algorithm <name>', 'such as aes')
      .option('--metadata <key=value>', 'user metadata; repeatable', collect)
      .option('--verbatim', 'keep the newline at the end of a passphrase'),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'secret-put', async (path, options) => {
        const { type, name, algorithm, metadata } = options
        const payload = await readPayload(cli, path, type, options.verbatim === true)
        const id = await consume(
          payload,
          async () =>
            await withKeyManager(
              cli,
              options,
              async (keyManager) =>
                await keyManager.store({
                  type,
                  payload,
                  name,
                  algorithm,
                  metadata: keyValues(metadata ?? [], '--metadata'),
                }),
              { create: true },
            ),
        )
        return { body: { id, type, name: name ?? null }, text: id }
      }),
    )

/** The payload as key managers want it: certificates in PEM, passphrases without a newline. */
async function readPayload(
  cli: Cli,
  path: string,
  type: SecretType,
  verbatim: boolean,
): Promise<Secret> {
  const content = await readSmallFile(path, type, cli.signal)
  if (type === 'certificate' && content[0] === 0x30) {
    note(cli, `${path} is DER; it is kept as PEM, which the services demand`)
    return new Secret(Buffer.from(readCertificate(content, path).pem))
  }
  if (type === 'certificate') requireCertificateIn(content, path)
  const bare = withoutNewline(content)
  if (type !== 'passphrase' || verbatim || bare.length === content.length)
    return new Secret(content)
  note(cli, 'the newline at the end is left out (--verbatim keeps it)')
  const payload = new Secret(Buffer.from(bare))
  content.fill(0)
  return payload
}

/** The key manager refuses it too, but knows of no file. */
function requireCertificateIn(content: Buffer, path: string): void {
  const labels = pemBlocks(content.toString('latin1')).map(({ label }) => label)
  if (labels.includes('CERTIFICATE')) return
  const got = labels.length === 0 ? 'no PEM block' : labels.join(', ')
  throw new VolsealError('usage', `${labelOf(path)}: expected a PEM CERTIFICATE or DER, got ${got}`)
}
