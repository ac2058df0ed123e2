import { detachConnection, detachVolume } from '../../face/attach.js'
import { CONNECTION_OPTIONS, readConnectionInfo, refuseBeside } from '../attach-options.js'
import { describeDetached } from '../attach-text.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { detachFromLibvirt, LIBVIRT_OPTIONS } from '../libvirt-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('detach', {
      summary: 'close an encrypted volume; one that is closed already is no error',
      example: 'volseal detach /dev/vdb',
      exitCodes: ['usage', 'busy', 'no-device', 'forbidden', 'unavailable', 'io', 'interrupted'],
    })
      .argument('[device]', 'path the volume is connected at')
      .option('--link <path>', 'link that led to the decrypted side'),
    CONNECTION_OPTIONS,
    LIBVIRT_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'detach', async (device, options) => {
        const { link, connectionInfo: named } = options
        if (options.libvirtSecret !== undefined) {
          const given = { '--link': link, '--connection-info': named }
          refuseBeside('--libvirt-secret, which closes nothing here', given)
          return await detachFromLibvirt(cli, options)
        }
        if (named !== undefined) refuseBeside('--connection-info', { '--link': link })
        const connectionInfo = await readConnectionInfo(cli, device, options)
        const result =
          device === undefined
            ? await detachConnection(connectionInfo, cli.signal)
            : await detachVolume({ device, link, signal: cli.signal })
        return { body: result, text: describeDetached(result) }
      }),
    )
