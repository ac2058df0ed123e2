import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import type { CheckRootKeyOptions, RootKeyCheck } from '../../face/swift-root-key.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
  type OptionGroup,
} from '../cli.js'
import { CLOUD_OPTIONS, type CloudChoice, openNamedCloud } from '../key-manager-options.js'
import type { Outcome } from '../output.js'
import { table } from '../text.js'

interface CheckChoice extends CloudChoice {
  readonly proxyConf?: string | undefined
  readonly object?: true | undefined
  readonly devices?: string | undefined
}

const CHECK_OPTIONS: OptionGroup<CheckChoice> = {
  options: [
    new Option('--proxy-conf <file>', 'proxy-server.conf: its pipeline is checked'),
    new Option(
      '--object',
      'write an object through the proxy as the user of --os-cloud, and delete it',
    ),
    new Option(
      '--devices <dir>',
      'with --object, on a storage node: it must not be in clear there',
    ),
  ],
}

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('check', {
      summary: 'check that Swift encrypts: root secret, pipeline, and an object on the disk',
      example:
        'volseal swift rootkey check --keymaster-conf keymaster.conf --proxy-conf proxy-server.conf',
      exitCodes: [
        ...(['usage', 'forbidden', 'not-found', 'unavailable', 'incomplete'] as const),
        ...(['io', 'interrupted'] as const),
      ],
    }),
    CHECK_OPTIONS,
    CLOUD_OPTIONS,
  )
    .requiredOption('--keymaster-conf <file>', 'keymaster.conf: the root secret and who reads it')
    .addOption(jsonOption())
    .action(act(cli, 'swift-rootkey-check', async (options) => await check(cli, options)))

async function check(
  cli: Cli,
  choice: CheckChoice & { readonly keymasterConf: string },
): Promise<Outcome> {
  const { keymasterConf, proxyConf, object, devices } = choice
  if (devices !== undefined && object !== true) {
    throw new VolsealError('usage', '--devices: expected --object as well, which writes one')
  }
  const { checkRootKey, RootKeyRefused } = await import('../../face/swift-root-key.js')
  const writeAs = object === true ? await openNamedCloud(cli, choice) : undefined
  const options: CheckRootKeyOptions = {
    keymasterConf,
    proxyConf,
    devices,
    writeAs,
    env: cli.env,
    signal: cli.signal,
    warn: (text) => note(cli, `warning: ${text}`),
  }
  try {
    const report = await checkRootKey(options)
    return { body: report, text: describe(report) }
  } catch (error) {
    if (!(error instanceof RootKeyRefused)) throw error
    return { body: error.report, text: describe(error.report), error }
  } finally {
    await writeAs?.close()
  }
}

function describe({ checks }: RootKeyCheck): string {
  return table(
    ['check', '', 'found', 'expected'],
    checks.map(({ name, result, found, expected }) => [
      name,
      result === 'pass' ? 'ok' : 'FAILED',
      found,
      result === 'pass' ? '' : expected,
    ]),
  )
}
