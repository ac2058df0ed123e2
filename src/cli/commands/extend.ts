import { createEncryptor, extendVolume } from '../../face/attach.js'
import {
  ACCESS_OPTIONS,
  connectionOptions,
  deviceOptions,
  readConnectionInfo,
  readMetadata,
  withKeySource,
} from '../attach-options.js'
import { describeExtended } from '../attach-text.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { KEY_MANAGER_OPTIONS } from '../key-manager-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('extend', {
      summary: 'make an open volume as large as its device has become',
      example: 'volseal extend /dev/vdb --key-id "$KEY_ID"',
      exitCodes: [
        'usage',
        'wrong-key',
        'busy',
        'no-device',
        'header-damaged',
        'forbidden',
        'not-found',
        'unavailable',
        'keystore-damaged',
        'io',
        'interrupted',
      ],
    }).argument('[device]', 'path the volume is connected at'),
    ACCESS_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'extend', async (device, options) => {
        const { signal } = cli
        const connectionInfo = await readConnectionInfo(cli, device, options)
        const metadata = await readMetadata(cli, options)
        const result = await withKeySource(
          cli,
          options,
          metadata,
          async ({ keyManager, ...key }) => {
            if (device !== undefined) {
              const volume = { ...deviceOptions(options), ...key, device, keyManager }
              return await extendVolume({ ...volume, signal })
            }
            const choice = { ...connectionOptions(options), ...key, signal }
            return await createEncryptor(connectionInfo, metadata, keyManager, choice).extend()
          },
        )
        return { body: result, text: describeExtended(result) }
      }),
    )
