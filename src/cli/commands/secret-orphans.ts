import type { Bereft, Orphan, OrphanReport } from '../../face/orphans.js'
import {
  act,
  addOptions,
  type Cli,
  collect,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
  wholeNumber,
} from '../cli.js'
import { CLOUD_OPTIONS, type CloudChoice, openNamedCloud } from '../key-manager-options.js'
import type { Outcome } from '../output.js'
import { counted, table } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('orphans', {
      summary: 'find keys and certificates that nothing refers to, and what has lost its own',
      example: 'volseal secret orphans --os-cloud ops',
      exitCodes: ['usage', 'busy', 'forbidden', 'not-found', 'unavailable', 'interrupted'],
    })
      .option(
        '--older-than <hours>',
        'leave out younger ones, whose volume may only be being made (default 24)',
        wholeNumber('--older-than'),
      )
      .option('--delete <id>', 'delete this orphan, for good; repeatable', collect),
    CLOUD_OPTIONS,
  )
    .addOption(jsonOption())
    .action(act(cli, 'secret-orphans', async (options) => await orphans(cli, options)))

interface OrphansChoice extends CloudChoice {
  readonly olderThan?: number | undefined
  readonly delete?: string[] | undefined
}

async function orphans(cli: Cli, choice: OrphansChoice): Promise<Outcome> {
  const { olderThan, delete: ids } = choice
  const { signal } = cli
  const { deleteOrphans, findOrphans } = await import('../../face/orphans.js')
  const cloud = await openNamedCloud(cli, choice)
  try {
    if (ids !== undefined) {
      const result = await deleteOrphans({ cloud, ids, olderThan, signal })
      return { body: result, text: result.deleted.map(({ id }) => `deleted ${id}`).join('\n') }
    }
    const report = await findOrphans({ cloud, olderThan, signal })
    if (report.orphans.length > 0) note(cli, NOT_SEEN)
    return { body: report, text: describe(report, olderThan) }
  } finally {
    await cloud.close()
  }
}

const NOT_SEEN =
  "not looked at: volumes that cinder does not have, instances (their own disks, trusted certificates), Swift's root secret, other services and other projects; is a key theirs? ask before it is deleted"

function describe({ orphans: found, bereft, young }: OrphanReport, olderThan = 24): string {
  const parts = [
    ...(found.length === 0 ? [] : [table(['ORPHAN', 'KIND', 'CREATED', 'NAME'], found.map(line))]),
    ...(bereft.length === 0 ? [] : [table(['WITHOUT', 'ID', 'SECRET', 'NAME'], bereft.map(loss))]),
    [
      counted(found.length, 'orphan'),
      `${bereft.length} without key or certificate`,
      `${young} younger than ${olderThan} hours left out`,
    ].join(', '),
  ]
  return parts.join('\n\n')
}

function line({ id, kind, created, name, algorithm, bitLength }: Orphan): string[] {
  const bits = bitLength === null ? '' : ` (${algorithm ?? 'unknown'}, ${bitLength} bits)`
  return [id, `${kind}${bits}`, created.slice(0, 19), name ?? '-']
}

function loss({ kind, id, secretId, lacks, name }: Bereft): string[] {
  return [`${kind} without ${lacks}`, id, secretId, name ?? '-']
}
