import { Option } from '@commander-js/extra-typings'
import { formatVolume } from '../../face/volumes.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
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
      .option('--force <name>', "the device's base name again, to format over data that it holds"),
    VOLUME_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-format', async (device, options) => {
        const { provider, keyId, force } = options
        const result = await withKeyManager(
          cli,
          options,
          async (keyManager) =>
            await formatVolume({
              ...volumeOptions(options, { provider, keyId, keyManager }),
              device,
              force,
              signal: cli.signal,
            }),
        )
        return { body: result, text: `formatted ${device}\n${indent(describeVolume(result))}` }
      }),
    )
