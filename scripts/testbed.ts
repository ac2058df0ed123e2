import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { usage, wholeNumber } from './harness/options.js'
import {
  choicesOf,
  type OptionName,
  readCommandLine,
  USAGE,
  type Values,
} from './openstack-testbed/command-line.js'
import { endTestbed, endWhile, removeTestbed } from './openstack-testbed/down.js'
import { TestbedFailure } from './openstack-testbed/failure.js'
import { startGuard } from './openstack-testbed/guard.js'
import { restartCinder } from './openstack-testbed/restart-cinder.js'
import { changeRole } from './openstack-testbed/role.js'
import { type Choices, openSettings } from './openstack-testbed/settings.js'
import { printReady, printStatus } from './openstack-testbed/status.js'
import type { Testbed } from './openstack-testbed/testbed.js'
import { bringUp, runningTestbed } from './openstack-testbed/up.js'

/** The commands of scripts/testbed, which sets up what they need. */

interface Command {
  readonly options: readonly OptionName[]
  readonly operands: number
  readonly run: (bed: string, values: Values, operands: readonly string[]) => Promise<void>
}

const COMMANDS: Readonly<Record<string, Command>> = {
  up: { options: ['with', 'key-manager', 'fixed-key', 'owner'], operands: 0, run: up },
  status: { options: ['json'], operands: 0, run: status },
  'restart-cinder': { options: ['key-manager', 'fixed-key'], operands: 0, run: restart },
  role: { options: [], operands: 3, run: role },
  down: { options: ['purge'], operands: 0, run: down },
}

const line = readCommandLine()
const command = COMMANDS[line.command]
if (command === undefined || line.operands.length !== command.operands) usage(USAGE)
const unknown = Object.keys(line.values).find((name) => !command.options.some((o) => o === name))
if (unknown !== undefined) usage(`${line.command} has no option --${unknown}\n${USAGE}`)
try {
  await command.run(realDirectory(line.directory), line.values, line.operands)
} catch (error) {
  if (!(error instanceof TestbedFailure)) throw error
  console.error(`testbed: ${error.message}`)
  process.exitCode = 1
}

/** One name for a directory, however it is called: it is the mark of the bed's processes. */
function realDirectory(path: string): string {
  const full = resolve(path)
  if (existsSync(full)) return realpathSync(full)
  const parent = dirname(full)
  return existsSync(parent) ? join(realpathSync(parent), basename(full)) : full
}

async function up(bed: string, values: Values): Promise<void> {
  const began = Date.now()
  const owner = values.owner === undefined ? undefined : wholeNumber('--owner', values.owner, 1)
  const choices = choicesOf(values)
  const isNew = readdirSync(bed).length === 0
  const starting = startOrFind(bed, choices, owner)
  const interrupted = undoOnSignal(bed, isNew, starting)
  try {
    printReady(await starting, Date.now() - began)
  } catch (error) {
    // The undoing ends the services that we wait for; it has its own exit code.
    await interrupted()
    await endTestbed(bed, 0)
    throw error
  }
}

/** The guard is there before there is anything to guard. */
async function startOrFind(
  bed: string,
  choices: Choices,
  owner: number | undefined,
): Promise<Testbed> {
  const settings = openSettings(bed, choices)
  const running = runningTestbed(bed, settings)
  if (running !== undefined) return running
  await endTestbed(bed)
  if (owner !== undefined) startGuard(bed, owner)
  return await bringUp(bed, settings)
}

/**
 * Ctrl-C and SIGTERM leave nothing running, and no new directory. What it gives waits for the end of
 * that, if there was such a signal.
 */
function undoOnSignal(
  bed: string,
  isNew: boolean,
  starting: Promise<unknown>,
): () => Promise<void> {
  let undoing: Promise<never> | undefined
  const undo = async (code: number): Promise<never> => {
    await endWhile(bed, starting)
    if (isNew) await removeTestbed(bed)
    process.exit(code)
  }
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
    process.once(signal, () => {
      undoing ??= undo(code)
    })
  }
  return async () => {
    await undoing
  }
}

async function status(bed: string, { json = false }: Values): Promise<void> {
  process.exitCode = printStatus(bed, json) ? 0 : 1
  await Promise.resolve()
}

async function restart(bed: string, values: Values): Promise<void> {
  await restartCinder(bed, choicesOf(values))
}

async function role(bed: string, _: Values, operands: readonly string[]): Promise<void> {
  const [action = '', user = '', name = ''] = operands
  if (action !== 'add' && action !== 'remove') usage(`expected add or remove, got ${action}`)
  await changeRole(bed, action, user, name)
}

async function down(bed: string, { purge = false }: Values): Promise<void> {
  await (purge ? removeTestbed(bed) : endTestbed(bed))
}
