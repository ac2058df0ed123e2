import { type Command, Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import {
  BACK_END_KINDS,
  BACK_ENDS,
  type BackEndKind,
  type BackEndVerdict,
  type CheckSpecOptions,
  checkEncryptionSpec,
  checkVolumeType,
  SECRET_STORES,
  type SecretStoreName,
  type SpecCheck,
  SpecRefused,
  type TypeEncryption,
} from '../../face/volume-types.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  type OptionGroup,
  wholeNumber,
} from '../cli.js'
import { CLOUD_OPTIONS, type CloudChoice, openNamedCloud } from '../key-manager-options.js'
import type { Outcome } from '../output.js'
import { indent, rows, table } from '../text.js'
import { describeSpec } from '../volume-type-text.js'

interface SpecChoice {
  readonly provider?: string | undefined
  readonly cipher?: string | undefined
  readonly keySize?: number | undefined
  readonly controlLocation?: string | undefined
}

interface CheckChoice extends SpecChoice, CloudChoice {
  readonly backEnd?: BackEndKind[] | undefined
  readonly secretStore?: SecretStoreName | undefined
  readonly asCommands?: true | undefined
}

const SPEC_OPTIONS: OptionGroup<SpecChoice> = {
  options: [
    new Option('--provider <name>', 'a spec by hand instead of a type: luks, luks2, an old name …'),
    new Option('--cipher <spec>', 'such as aes-xts-plain64'),
    new Option('--key-size <bits>', 'bits of the key').argParser(wholeNumber('--key-size')),
    new Option('--control-location <where>', 'front-end (when not given) or back-end'),
  ],
}

const ANSWER_OPTIONS: OptionGroup<Omit<CheckChoice, keyof SpecChoice>> = {
  options: [
    new Option('--back-end <kind...>', 'only these kinds, each of which must work').choices(
      BACK_END_KINDS,
    ),
    new Option('--secret-store <name>', 'what Barbican keeps its secrets in').choices(
      SECRET_STORES,
    ),
    new Option('--as-commands', 'print only the commands that set it better'),
  ],
}

export const makeCommand: MakeCommand = (cli) =>
  addOptions(command(), SPEC_OPTIONS, ANSWER_OPTIONS, CLOUD_OPTIONS)
    .addOption(jsonOption())
    .action(
      act(cli, 'volume-type-check', async (type, options) => {
        const outcome = await checked(cli, type, options)
        return options.asCommands === true
          ? { ...outcome, text: commandsOf(outcome.body) }
          : outcome
      }),
    )

function command(): Command<[string | undefined]> {
  return newCommand('check', {
    summary:
      'what an encryption spec really gives on each kind of back end, and what to set instead',
    example:
      'volseal volume-type check --provider luks --cipher aes-xts-plain64 --key-size 256 --control-location front-end',
    exitCodes: ['usage', 'no-device', 'forbidden', 'not-found', 'unavailable', 'interrupted'],
  }).argument('[type]', "name or id of a cloud's volume type")
}

/** A refused spec is a report all the same. */
async function checked(
  cli: Cli,
  type: string | undefined,
  choice: CheckChoice,
): Promise<Outcome & { readonly body: SpecCheck }> {
  try {
    const report = await check(cli, type, choice)
    return { body: report, text: describe(report) }
  } catch (error) {
    if (!(error instanceof SpecRefused)) throw error
    return { body: error.report, text: describe(error.report), error }
  }
}

async function check(cli: Cli, type: string | undefined, choice: CheckChoice): Promise<SpecCheck> {
  const { backEnd, secretStore } = choice
  const options: CheckSpecOptions = { backEnds: backEnd, secretStore, signal: cli.signal }
  const spec = specOf(choice)
  if ((type === undefined) === (spec === undefined)) {
    throw new VolsealError('usage', 'expected either a volume type or --provider', {
      hint: 'name a type of the cloud, or give a spec by hand: --provider luks --cipher aes-xts-plain64 --key-size 256',
    })
  }
  if (spec !== undefined) return checkEncryptionSpec(spec, options)
  const cloud = await openNamedCloud(cli, choice)
  try {
    return await checkVolumeType(cloud.cinder, type ?? '', options)
  } finally {
    await cloud.close()
  }
}

function specOf(choice: SpecChoice): TypeEncryption | undefined {
  const { provider, cipher, keySize, controlLocation } = choice
  if (provider === undefined) {
    if ([cipher, keySize, controlLocation].every((value) => value === undefined)) return undefined
    throw new VolsealError('usage', 'a spec by hand begins with --provider')
  }
  return {
    provider,
    cipher: cipher ?? null,
    keySize: keySize ?? null,
    controlLocation: controlLocation ?? 'front-end',
  }
}

function commandsOf({ recommended }: SpecCheck): string {
  return recommended
    .flatMap(({ backEnds, effectiveCipher, commands }) => [
      `# ${namesOf(backEnds)}: ${effectiveCipher}`,
      ...commands,
    ])
    .join('\n')
}

function describe(report: SpecCheck): string {
  const { type, inUse, spec, backEnds, recommended } = report
  const used = inUse === true ? ', which volumes have' : ''
  const head: [string, string][] =
    type === null ? [] : [['volume type', `${type.name} (${type.id})${used}`]]
  const lines = backEnds.map((verdict) => [BACK_ENDS[verdict.backEnd].name, ...cells(verdict)])
  const heading = ['back end', 'on disk', 'cipher', 'volume key', 'decrypted by']
  const better = recommended.map(({ backEnds: kinds, effectiveCipher, why, commands }) =>
    [
      `for ${namesOf(kinds)}: ${effectiveCipher}. ${why}`,
      ...commands.map((line) => indent(line)),
    ].join('\n'),
  )
  return [
    rows([...head, ...describeSpec(spec)]),
    table(heading, lines),
    ...findingsOf(backEnds),
    ...(better.length === 0 ? ['nothing better is known for it'] : better),
  ].join('\n')
}

function cells(verdict: BackEndVerdict): string[] {
  const { outcome, format, effectiveCipher, volumeKeyBits, opener, backEnd } = verdict
  if (outcome === 'fails') return ['fails', '', '', '']
  if (outcome === 'clear') return ['NOT ENCRYPTED', '', '', '']
  const words = `${(format ?? '').toUpperCase()} ${BACK_ENDS[backEnd].onDisk}`
  return [words, effectiveCipher ?? '', `${volumeKeyBits} bits`, opener ?? '']
}

/** Each finding once, with the back ends that it is about. */
function findingsOf(backEnds: readonly BackEndVerdict[]): string[] {
  const all = backEnds.flatMap(({ findings }) => findings.map(({ message }) => message))
  return [...new Set(all)].map((message) => {
    const kinds = backEnds.filter(({ findings }) =>
      findings.some((finding) => finding.message === message),
    )
    const where = kinds.length === backEnds.length ? '' : `${namesOf(kinds.map(kindOf))}: `
    return `- ${where}${message}`
  })
}

function kindOf({ backEnd }: BackEndVerdict): BackEndKind {
  return backEnd
}

function namesOf(kinds: readonly BackEndKind[]): string {
  return kinds.map((kind) => BACK_ENDS[kind].name).join('; ')
}
