import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import { type OpenCloud, projectIdOf } from '../../face/cloud.js'
import { type InventoryImage, listImages } from '../../face/image-inventory.js'
import type { VerificationJournal } from '../../face/verification-journal.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
  progressOption,
  wholeDays,
  wholeNumber,
  withProgress,
} from '../cli.js'
import { INVENTORY_FORMATS, type InventoryFormat, inventoryText } from '../inventory-text.js'
import { CLOUD_OPTIONS, type CloudChoice, openNamedCloud } from '../key-manager-options.js'
import type { Outcome } from '../output.js'
import type { ProgressStyle } from '../progress.js'
import { counted } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('list', {
      summary: 'list images in Glance: signed, unsigned, invalid, certificate ending or missing',
      example: 'volseal images list --os-cloud ops --format html > images.html',
      exitCodes: ['usage', 'forbidden', 'unavailable', 'incomplete', 'io', 'interrupted'],
    })
      .option('--verify', 'read the signed ones, and compare them with their signatures')
      .option('--mine', "only the project's own")
      .option(
        '--all',
        "also other projects' community images, and shared ones that were not accepted",
      )
      .option(
        '--expiring <days>',
        'certificates that end within so many days (30, or 30d) are said to',
        wholeDays('--expiring'),
      )
      .option(
        '--resume <file>',
        'with --verify: go on with a run that was ended, which this file remembers',
      )
      .option(
        '--at-once <n>',
        'with --verify: images read at once (default 2)',
        wholeNumber('--at-once'),
      )
      .addOption(
        new Option('--format <format>', 'of what is printed')
          .choices(INVENTORY_FORMATS)
          .default('text' as const),
      ),
    CLOUD_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(act(cli, 'images-list', async (options) => await list(cli, options)))

interface ListChoice extends CloudChoice {
  readonly verify?: true | undefined
  readonly mine?: true | undefined
  readonly all?: true | undefined
  readonly expiring?: number | undefined
  readonly atOnce?: number | undefined
  readonly resume?: string | undefined
  readonly format: InventoryFormat
  readonly progress: ProgressStyle
}

async function list(cli: Cli, choice: ListChoice): Promise<Outcome> {
  const { verify, mine, all, expiring, atOnce, resume, format } = choice
  if (atOnce === 0) throw new VolsealError('usage', '--at-once: expected at least 1, got 0')
  if (mine === true && all === true) {
    throw new VolsealError('usage', '--mine and --all: expected one of them')
  }
  if (resume !== undefined && verify === undefined) {
    throw new VolsealError('usage', '--resume goes with --verify')
  }
  const journal = resume === undefined ? undefined : await openJournal(resume)
  const cloud = await openNamedCloud(cli, choice)
  try {
    const filter = mine === true ? { owner: await projectIdOf(cloud, cli.signal) } : {}
    const images = await withProgress(cli, choice.progress, async (progress) => {
      const onProgress = verify === true ? progress.phase('verifying') : undefined
      const { signal } = cli
      const reading = { verify, atOnce, journal, signal, onProgress }
      return await listImages({ cloud, filter, all, expiringDays: expiring, ...reading })
    })
    if (mine === undefined && all === undefined) await tellUnlisted(cli, cloud, images)
    const text = inventoryText(images, format, cloud.session.cloud.name)
    return { body: { images }, text, error: shortcoming(images) }
  } finally {
    await cloud.close()
    await journal?.close()
  }
}

/** Glance leaves them out, and says nothing. A hint that cannot be had takes nothing away. */
async function tellUnlisted(
  cli: Cli,
  cloud: OpenCloud,
  images: readonly InventoryImage[],
): Promise<void> {
  const { countUnlisted, MOST_COUNTED } = await import('../../face/image-lists.js')
  const count = await countUnlisted(cloud, images, cli.signal).catch(() => 0)
  if (count === 0) return
  const what = `${count < MOST_COUNTED ? '' : 'at least '}${counted(count, 'more image')}`
  note(cli, `${what} of other projects (community, or shared and not accepted): --all lists them`)
}

async function openJournal(path: string): Promise<VerificationJournal> {
  const { VerificationJournal: Journal } = await import('../../face/verification-journal.js')
  return await Journal.open(path)
}

/** An image that is not what was signed is more than a line in a list. */
function shortcoming(images: readonly InventoryImage[]): VolsealError | undefined {
  const bad = images.filter(({ state }) => state === 'mismatch' || state === 'unchecked')
  if (bad.length === 0) return undefined
  const names = bad.map(({ id }) => id).join(', ')
  return new VolsealError('incomplete', `not what was signed, or not to be read: ${names}`)
}
