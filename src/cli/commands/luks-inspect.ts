import { inspectVolume, refusalOf } from '../../face/volumes.js'
import { act, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { describeVolume } from '../volume-text.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('inspect', {
    summary:
      "show a LUKS volume's header: cipher and its real strength, keyslots and their cost, and whether it can be believed",
    example: 'volseal luks inspect luks.img',
    exitCodes: ['usage', 'no-device', 'header-damaged', 'not-found', 'forbidden', 'io'],
  })
    .argument('<device>', 'block device, or a file that stands for one')
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-inspect', async (device, _options) => {
        const report = await inspectVolume(device)
        return { body: report, text: describeVolume(report), error: refusalOf(report) }
      }),
    )
