import { volumeStatus } from '../../face/attach.js'
import { act, collect, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { describeStatus } from '../status-text.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('status', {
    summary: 'show what encrypted volumes are open, who uses them, and links that lead nowhere',
    example: 'volseal status',
    exitCodes: ['usage', 'forbidden', 'unavailable'],
  })
    .option('--links <dir>', 'look for links there too (repeatable)', collect)
    .addOption(jsonOption())
    .action(
      act(cli, 'status', async (options) => {
        const status = await volumeStatus(options.links)
        return { body: status, text: describeStatus(status) }
      }),
    )
