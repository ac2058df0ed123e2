import { VolsealError } from '../../core/errors.js'
import { collectGarbage, type GarbageReport } from '../../face/attach.js'
import { act, collect, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { describeGarbage } from '../status-text.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('gc', {
    summary: 'show what killed commands have left open, and close it with --apply',
    example: 'volseal gc',
    exitCodes: ['usage', 'forbidden', 'unavailable', 'incomplete'],
  })
    .option('--apply', 'close and remove what is shown')
    .option('--links <dir>', 'look for links there too (repeatable)', collect)
    .addOption(jsonOption())
    .action(
      act(cli, 'gc', async (options) => {
        const { apply, links: places } = options
        const report = await collectGarbage({ apply, places })
        return { body: report, text: describeGarbage(report), error: failures(report) }
      }),
    )

function failures({ garbage }: GarbageReport): VolsealError | undefined {
  const failed = garbage.filter(({ result }) => result === 'failed')
  if (failed.length === 0) return undefined
  const names = failed.map(({ name }) => name).join(', ')
  return new VolsealError('incomplete', `still there: ${names}`)
}
