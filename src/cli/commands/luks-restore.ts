import { restoreHeader } from '../../face/restore-header.js'
import { backupPlace, KEEP_OPTIONS, tellBackup } from '../backup-options.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand, note } from '../cli.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { indent } from '../text.js'
import { describeVolume } from '../volume-text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('restore', {
      summary: "put a volume's header back from a backup, onto the same volume",
      example:
        'volseal luks backup luks.img --out new.header && volseal luks restore new.header luks.img',
      exitCodes: [
        'usage',
        'not-blank',
        'busy',
        'no-device',
        'header-damaged',
        'too-small',
        'forbidden',
        'not-found',
        'keystore-damaged',
        'io',
        'interrupted',
      ],
    })
      .argument('<file>', 'the backup')
      .argument('<device>', 'the volume, which must be closed')
      .option(
        '--force <name>',
        "the device's base name again, or the backup's UUID, where it may not belong",
      ),
    KEEP_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-restore', async (file, device, options) => {
        const { force } = options
        const keep = await backupPlace(cli, options)
        const result = await withKeyManager(
          cli,
          options,
          async (keyManager) =>
            await restoreHeader({ file, device, keyManager, keep, force, signal: cli.signal }),
        )
        tellBackup(cli, result.replaced)
        note(cli, `the keys of ${result.backup.created} open it now, and no later ones`)
        const text = `restored the header of ${device}\n${indent(describeVolume(result))}`
        return { body: result, text }
      }),
    )
