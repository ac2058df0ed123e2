import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import { projectIdOf } from '../../face/cloud.js'
import { type InventoryImage, listImages } from '../../face/image-inventory.js'
import type { VerificationJournal } from '../../face/verification-journal.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  wholeDays,
  wholeNumber,
} from '../cli.js'
import { INVENTORY_FORMATS, type InventoryFormat, inventoryText } from '../inventory-text.js'
import { CLOUD_OPTIONS, type CloudChoice, openNamedCloud } from '../key-manager-options.js'
import type { Outcome } from '../output.js'

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
    .addOption(jsonOption())
    .action(act(cli, 'images-list', async (options) => await list(cli, options)))

interface ListChoice extends CloudChoice {
  readonly verify?: true | undefined
  readonly mine?: true | undefined
  readonly expiring?: number | undefined
  readonly atOnce?: number | undefined
  readonly resume?: string | undefined
  readonly format: InventoryFormat
}

async function list(cli: Cli, choice: ListChoice): Promise<Outcome> {
  const { verify, mine, expiring, atOnce, resume, format } = choice
  if (atOnce === 0) throw new VolsealError('usage', '--at-once: expected at least 1, got 0')
  if (resume !== undefined && verify === undefined) {
    throw new VolsealError('usage', '--resume goes with --verify')
  }
  const journal = resume === undefined ? undefined : await openJournal(resume)
  const cloud = await openNamedCloud(cli, choice)
  try {
    const own = mine === true ? { owner: await projectIdOf(cloud, cli.signal) } : {}
    const images = await listImages({
      cloud,
      filter: own,
      expiringDays: expiring,
      verify,
      atOnce,
      journal,
      signal: cli.signal,
    })
    const text = inventoryText(images, format, cloud.session.cloud.name)
    return { body: { images }, text, error: shortcoming(images) }
  } finally {
    await cloud.close()
    await journal?.close()
  }
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
