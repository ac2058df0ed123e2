import { Argument } from '@commander-js/extra-typings'
import { act, type MakeCommand, newCommand } from '../cli.js'
import { completionScript, SHELLS } from '../completion.js'
import { describeCommands } from '../program.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('completion', {
    summary: 'print a completion script for bash, zsh or fish',
    example: 'eval "$(volseal completion bash)"',
    exitCodes: ['usage'],
  })
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action(
      act(cli, 'completion', async (shell, _options) => {
        const text = completionScript(shell, await describeCommands(cli))
        return { body: { shell, script: text }, text }
      }),
    )
