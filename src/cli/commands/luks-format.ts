import { Option } from '@commander-js/extra-typings'
import { formatVolume } from '../../face/volumes.js'
import { backupPlace, KEEP_OPTIONS, refuseIdleKeeping, tellBackup } from '../backup-options.js'
import {
  act,
  addOptions,
  jsonOption,
  type MakeCommand,
  newCommand,
  progressOption,
  withProgress,
} from '../cli.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { indent } from '../text.js'
import { VOLUME_OPTIONS, volumeOptions } from '../volume-options.js'
import { describeVolume } from '../volume-text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('format', {
      summary: 'make a blank device a LUKS volume that a key of the key manager opens',
      example: 'volseal luks format volume.img --provider luks2 --key-id "$KEY_ID"',
      exitCodes: [
        'usage',
        'not-blank',
        'busy',
        'no-device',
        'header-damaged',
        'too-small',
        'forbidden',
        'not-found',
        'unavailable',
        'keystore-damaged',
        'io',
        'interrupted',
      ],
    })
      .argument('<device>', 'block device, or a file that stands for one')
      .addOption(
        new Option('--provider <name>', 'luks is LUKS1 on disk, as for nova and cinder')
          .choices(['luks', 'luks2'] as const)
          .makeOptionMandatory(),
      )
      .requiredOption('--key-id <id>', 'the key in the key manager')
      .option(
        '--volume-id <id>',
        'the volume that it is: noted in it; a killed run is gone on with',
      )
      .addOption(
        new Option(
          '--evidence <kind>',
          'blank: the device is zero (default); vouched: it may hold unknown bytes, at your word',
        ).choices(['blank', 'vouched'] as const),
      )
      .addOption(
        new Option(
          '--scan <extent>',
          'how much must be found zero: a sample (default) or all',
        ).choices(['sample', 'full'] as const),
      )
      .option('--force <name>', "the device's base name again, to format over data that it holds"),
    VOLUME_OPTIONS,
    KEEP_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-format', async (device, options) => {
        const { provider, keyId, force, volumeId, evidence, scan } = options
        refuseIdleKeeping(options)
        const keep = force === undefined ? 'none' : await backupPlace(cli, options)
        const result = await withProgress(
          cli,
          options.progress,
          async (progress) =>
            await withKeyManager(
              cli,
              options,
              async (keyManager) =>
                await formatVolume({
                  ...volumeOptions(options, { provider, keyId, keyManager }),
                  device,
                  keyManager,
                  force,
                  keep,
                  volumeId,
                  evidence,
                  scan,
                  signal: cli.signal,
                  onScanProgress: progress.phase('scanning'),
                }),
            ),
        )
        tellBackup(cli, result.replaced)
        return { body: result, text: `formatted ${device}\n${indent(describeVolume(result))}` }
      }),
    )
