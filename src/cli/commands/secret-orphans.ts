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
    for (const remark of remarksOn(report)) note(cli, remark)
    return { body: report, text: describe(report, olderThan) }
  } finally {
    await cloud.close()
  }
}

const NOT_SEEN =
  "not looked at: volumes that cinder does not have, instances (their own disks, trusted certificates), Swift's root secret, other services and other projects; is a key theirs? ask before it is deleted"

/** What the list alone does not say. */
function remarksOn({ orphans: found, untoldBackups }: OrphanReport): string[] {
  const untold = `all keys are left out: which of them ${counted(untoldBackups, 'backup')} need, this cinder (before Wallaby) does not tell`
  return [
    ...(found.length > 0 ? [NOT_SEEN] : []),
    ...(found.some(({ kind }) => kind === 'volume-key') ? [VOLUME_KEYS] : []),
    ...(untoldBackups > 0 ? [untold] : []),
  ]
}

const VOLUME_KEYS =
  'a copy for a volume is what "volseal write" gave a volume that it made of an encrypted image; cinder has none with it: either a write was ended before its end, or a volume outside cinder opens with it, and with nothing else'

const KINDS: Readonly<Record<Orphan['kind'], string>> = {
  key: 'key',
  certificate: 'certificate',
  'volume-key': 'copy for a volume',
}

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
  return [id, `${KINDS[kind]}${bits}`, created.slice(0, 19), name ?? '-']
}

function loss({ kind, id, secretId, lacks, name }: Bereft): string[] {
  return [`${kind} without ${lacks}`, id, secretId, name ?? '-']
}
