import { Argument } from '@commander-js/extra-typings'
import { act, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { completionScript, SHELLS } from '../completion.js'
import { describeCommands } from '../program.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('completion', {
    summary: 'print a completion script for bash, zsh or fish',
    example: 'eval "$(volseal completion bash)"',
    exitCodes: ['usage', 'io'],
  })
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addOption(jsonOption())
    .action(
      act(cli, 'completion', async (shell, _options) => {
        const text = completionScript(shell, await describeCommands(cli))
        return { body: { shell, script: text }, text }
      }),
    )
