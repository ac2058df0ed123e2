import { backupHeader } from '../../face/header-backup.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand, note } from '../cli.js'
import { fileName } from '../inputs.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { humanBytes } from '../progress.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('backup', {
      summary: "keep a volume's header in a file, encrypted under a key of its own",
      example: 'volseal luks backup luks.img --out luks.header',
      exitCodes: [
        'usage',
        'busy',
        'no-device',
        'header-damaged',
        'forbidden',
        'not-found',
        'keystore-damaged',
        'io',
      ],
    })
      .argument('<device>', 'block device, or a file that stands for one; it may be open')
      .requiredOption('--out <file>', 'new file for the backup'),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-backup', async (device, options) => {
        const out = fileName(options.out, '--out')
        const backup = await withKeyManager(
          cli,
          options,
          async (keyManager) => await backupHeader({ device, out, keyManager }),
          { create: true },
        )
        note(cli, `only the key ${backup.keyId} of the key manager opens it: keep that, too`)
        const what = `the LUKS${backup.version} header (${humanBytes(backup.headerBytes)})`
        return { body: backup, text: `kept ${what} of volume ${backup.uuid} in ${out}` }
      }),
    )
