import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import { ImageRefused, type VerifyReport, verifyImage } from '../../face/verify.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  progressOption,
  withProgress,
} from '../cli.js'
import { explainedText, serviceLogText } from '../explain-text.js'
import {
  KEY_MANAGER_OPTIONS,
  type KeyManagerChoice,
  withLazyKeyManager,
} from '../key-manager-options.js'
import { overMany } from '../many.js'
import type { Outcome } from '../output.js'
import { readPolicyOption } from '../policy-options.js'
import type { ProgressStyle } from '../progress.js'
import { indent, rows } from '../text.js'
import { judgeOptions, VERIFY_OPTIONS, type VerifyChoice } from '../verify-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('verify', {
      summary: 'check that images are what was signed; writes nothing',
      example: 'volseal verify image.raw --cert cert.pem',
      exitCodes: [
        'usage',
        'signature-mismatch',
        'unsigned',
        'signature-malformed',
        'certificate-untrusted',
        'image-unsafe',
        'unchecked',
        'signature-incompatible',
        'policy-refused',
        'incomplete',
        'io',
        'interrupted',
      ],
    })
      .argument('<image...>', 'image files; - is stdin, glance:ID an image in Glance')
      .option('--explain', 'say who would accept it, what is wrong, and what mends it')
      .addOption(
        new Option('--log-format <name>', "print the lines of the services' own logs").choices([
          'openstack',
        ] as const),
      ),
    VERIFY_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(act(cli, 'verify', async (images, options) => await verifyAll(cli, images, options)))

interface Choice extends VerifyChoice, KeyManagerChoice {
  readonly explain?: true | undefined
  readonly logFormat?: 'openstack' | undefined
  readonly progress: ProgressStyle
  readonly json?: true | undefined
}

async function verifyAll(cli: Cli, images: readonly string[], choice: Choice): Promise<Outcome> {
  if (images.length > 1 && (choice.properties ?? choice.signature) !== undefined) {
    throw new VolsealError(
      'usage',
      'several images: each is checked with its own IMAGE.signature.json',
    )
  }
  if (images.length > 1 && (choice.imageName ?? choice.imageCreated) !== undefined) {
    throw new VolsealError('usage', 'several images: --image-name and --image-created are of one')
  }
  const policy = await readPolicyOption(cli, choice)
  return await withProgress(
    cli,
    choice.progress,
    async (progress) =>
      await withLazyKeyManager(
        cli,
        choice,
        async (secrets, cloud) =>
          await overMany(cli, images, choice, async (image) => {
            const explain = choice.explain === true || choice.logFormat !== undefined
            const verify = async (): Promise<VerifyReport> =>
              await verifyImage({
                ...(await judgeOptions(
                  cli,
                  image,
                  { ...choice, explain },
                  { secrets, cloud, policy },
                )),
                explain,
                signal: cli.signal,
                onProgress: progress.phase('verifying'),
              })
            return await outcomeOf(verify(), choice)
          }),
      ),
  )
}

/** A refusal that is explained is a result as well as an error. */
async function outcomeOf(judged: Promise<VerifyReport>, choice: Choice): Promise<Outcome> {
  try {
    const report = await judged
    return { body: report, text: textOf(report, choice) }
  } catch (error) {
    if (!(error instanceof ImageRefused) || error.report.explanation === undefined) throw error
    return { body: error.report, text: textOf(error.report, choice), error }
  }
}

function textOf(report: VerifyReport, { explain, logFormat }: Choice): string {
  if (logFormat !== undefined) return serviceLogText(report)
  return explain === true ? explainedText(report) : describe(report)
}

function describe(report: VerifyReport): string {
  if (report.verdict === 'not-required') return describeUnverified(report)
  const salt = report.saltLength === null ? '' : `, salt ${report.saltLength}`
  const facts = rows([
    ['signature', `${report.keyType}, ${report.hash}${salt}`],
    ['digest', report.digest ?? ''],
    ['size', `${report.size} bytes`],
    ['certificate', `${report.certificate?.subject} (${trustText(report)})`],
    ['valid to', report.certificate?.notAfter.slice(0, 10) ?? ''],
    ...policyRow(report),
    ...unnamedRow(report),
  ])
  return `accepted ${report.image}\n${indent(facts)}`
}

/** Who asks what the services would say is told what they say until then. */
function unnamedRow({ profile, checks }: VerifyReport): [string, string][] {
  const properties = checks.find(({ name }) => name === 'properties')
  if (profile !== 'cursive' || properties?.found === null) return []
  const until =
    'until it names the certificate, nova and cinder refuse the image, glance takes it as unsigned'
  return [['properties', `${properties?.found}: ${until}`]]
}

function trustText({ trust, path }: VerifyReport): string {
  return trust === 'path' ? `path to ${path?.at(-1)?.subject}` : trust
}

function describeUnverified(report: VerifyReport): string {
  const facts = rows([
    ['digest', `${report.hash} ${report.digest}`],
    ['size', `${report.size} bytes`],
    ...policyRow(report),
  ])
  return `not verified, and need not be: ${report.image}\n${indent(facts)}`
}

function policyRow({ policy }: VerifyReport): [string, string][] {
  return policy === null ? [] : [['policy', `${policy.rule} (signature ${policy.signature})`]]
}
