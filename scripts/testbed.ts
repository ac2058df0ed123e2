import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { usage } from './harness/options.js'
import { endTestbed, removeTestbed } from './openstack-testbed/down.js'
import { TestbedFailure } from './openstack-testbed/failure.js'
import { startGuard } from './openstack-testbed/guard.js'
import { restartCinder } from './openstack-testbed/restart-cinder.js'
import { changeRole } from './openstack-testbed/role.js'
import { type Choices, openSettings } from './openstack-testbed/settings.js'
import { printReady, printStatus } from './openstack-testbed/status.js'
import { bringUp } from './openstack-testbed/up.js'

/** The commands of scripts/testbed, which sets up what they need. */

const USAGE = `usage: scripts/testbed up DIR [--with swift] [--key-manager barbican|conf] [--fixed-key HEX|none]
                            [--owner PID]
       scripts/testbed status DIR [--json]
       scripts/testbed restart-cinder DIR [--key-manager barbican|conf] [--fixed-key HEX|none]
       scripts/testbed role DIR add|remove USER ROLE
       scripts/testbed down DIR [--purge]`

const OPTIONS = {
  with: { type: 'string', multiple: true },
  'key-manager': { type: 'string' },
  'fixed-key': { type: 'string' },
  owner: { type: 'string' },
  json: { type: 'boolean' },
  purge: { type: 'boolean' },
} as const

type Values = ReturnType<typeof readArguments>['values']

interface Command {
  readonly options: readonly (keyof typeof OPTIONS)[]
  readonly operands: number
  readonly run: (directory: string, values: Values, operands: readonly string[]) => Promise<void>
}

const COMMANDS: Readonly<Record<string, Command>> = {
  up: { options: ['with', 'key-manager', 'fixed-key', 'owner'], operands: 0, run: up },
  status: {
    options: ['json'],
    operands: 0,
    run: async (directory, { json }) => {
      process.exitCode = printStatus(directory, json === true) ? 0 : 1
      await Promise.resolve()
    },
  },
  'restart-cinder': {
    options: ['key-manager', 'fixed-key'],
    operands: 0,
    run: async (directory, values) => {
      await restartCinder(directory, choices(values))
    },
  },
  role: { options: [], operands: 3, run: role },
  down: {
    options: ['purge'],
    operands: 0,
    run: async (directory, { purge }) => {
      await (purge === true ? removeTestbed(directory) : endTestbed(directory))
    },
  },
}

const { values, positionals } = readArguments()
const [name = '', directory, ...operands] = positionals
const command = COMMANDS[name]
if (command === undefined || directory === undefined) usage(USAGE)
const unknown = Object.keys(values).find((option) => !command.options.some((o) => o === option))
if (unknown !== undefined) usage(`${name} has no option --${unknown}\n${USAGE}`)
if (operands.length !== command.operands) usage(USAGE)
try {
  await command.run(realDirectory(directory), values, operands)
} catch (error) {
  if (!(error instanceof TestbedFailure)) throw error
  console.error(`testbed: ${error.message}`)
  process.exitCode = 1
}

function readArguments() {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true })
  } catch (error) {
    return usage(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
  }
}

/** One name for a directory, however it is called: it is the mark of the bed's processes. */
function realDirectory(path: string): string {
  const full = resolve(path)
  if (existsSync(full)) return realpathSync(full)
  const parent = dirname(full)
  return existsSync(parent) ? join(realpathSync(parent), basename(full)) : full
}

async function up(directory: string, values: Values): Promise<void> {
  const began = Date.now()
  const isNew = readdirSync(directory).length === 0
  const settings = openSettings(directory, choices(values))
  undoOnSignal(directory, isNew)
  try {
    const testbed = await bringUp(directory, settings)
    if (values.owner !== undefined) startGuard(directory, Number(values.owner))
    printReady(testbed, Date.now() - began)
  } catch (error) {
    await endTestbed(directory, 0)
    throw error
  }
}

/** Ctrl-C and SIGTERM leave nothing running, and no new directory. */
function undoOnSignal(directory: string, isNew: boolean): void {
  const undo = async (code: number): Promise<never> => {
    await (isNew ? removeTestbed(directory) : endTestbed(directory, 0))
    process.exit(code)
  }
  process.once('SIGINT', () => void undo(130))
  process.once('SIGTERM', () => void undo(143))
}

async function role(
  directory: string,
  _: Values,
  [action = '', user = '', roleName = '']: readonly string[],
): Promise<void> {
  if (action !== 'add' && action !== 'remove') usage(`expected add or remove, got ${action}`)
  await changeRole(directory, action, user, roleName)
}

function choices(values: Values): Choices {
  const { with: extras = [], 'key-manager': keyManager, 'fixed-key': fixedKey } = values
  const strange = extras.find((extra) => extra !== 'swift')
  if (strange !== undefined) usage(`--with: expected swift, got ${strange}`)
  return {
    ...(extras.length === 0 ? {} : { swift: true }),
    ...(keyManager === undefined ? {} : { keyManager: keyManagerName(keyManager) }),
    ...(fixedKey === undefined ? {} : { fixedKey: fixedKeyOf(fixedKey) }),
  }
}

function keyManagerName(value: string): 'barbican' | 'conf' {
  if (value === 'barbican' || value === 'conf') return value
  return usage(`--key-manager: expected barbican or conf, got ${value}`)
}

function fixedKeyOf(value: string): string | null {
  if (value === 'none') return null
  if (/^(?:[0-9a-f]{2})+$/i.test(value)) return value
  return usage('--fixed-key: expected an even number of hex digits, or none')
}
