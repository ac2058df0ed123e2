import { fileURLToPath } from 'node:url'
import { type Ended, outputOf, runProgram } from './program.js'
import type { Testbed, TestbedUser } from './testbed.js'

/** OpenStack's own programs, as oracles: what they say of a test bed is what operators get to see. */

/** Debian's python3; another one in PATH does not see Debian's packages. */
const PYTHON = '/usr/bin/python3'
const ASK_CASTELLAN = fileURLToPath(new URL('./ask_castellan.py', import.meta.url))
const RUN_COMMAND = fileURLToPath(
  new URL('../../scripts/openstack-testbed/services/run_command.py', import.meta.url),
)

export function userOf(testbed: Testbed, name: string): TestbedUser {
  const user = testbed.users[name]
  if (user === undefined) throw new Error(`the test bed has no user ${name}`)
  return user
}

/** The `openstack` client as one of the users. */
export async function tryOpenstack(
  testbed: Testbed,
  user: string,
  args: readonly string[],
): Promise<Ended> {
  const env = { OS_CLIENT_CONFIG_FILE: testbed.clouds }
  return await runProgram('/usr/bin/openstack', ['--os-cloud', user, ...args], { env })
}

/** What the `openstack` client answers; the caller says what shape it has. */
export async function openstack<T>(
  testbed: Testbed,
  user: string,
  args: readonly string[],
): Promise<T> {
  const { code, stdout, stderr } = await tryOpenstack(testbed, user, [...args, '-f', 'json'])
  if (code !== 0) throw new Error(`openstack ${args.join(' ')}: exit code ${code}\n${stderr}`)
  const answer: T = JSON.parse(stdout)
  return answer
}

export type CastellanType = 'certificate' | 'opaque' | 'passphrase' | 'private' | 'symmetric'

export type CastellanRequest =
  | { do: 'store'; type: CastellanType; name: string; payload: string }
  | { do: 'get' | 'delete'; id: string }
  | {
      do: 'verify'
      certificate: string
      signature: string
      hash: string
      keyType: string
      image: string
    }

export type CastellanAnswer =
  | { readonly ok: true; readonly id?: string; readonly type?: string; readonly payload?: string }
  | { readonly ok: false; readonly error: string }

/** castellan's Barbican key manager, and cursive, which fetches its certificates through it. */
export async function askCastellan(
  testbed: Testbed,
  user: string,
  request: CastellanRequest,
): Promise<CastellanAnswer> {
  const { password, project } = userOf(testbed, user)
  const { keystone, barbican } = testbed.urls
  const input = JSON.stringify({ keystone, barbican, user, password, project, request })
  const answer: CastellanAnswer = JSON.parse(await outputOf(PYTHON, [ASK_CASTELLAN], { input }))
  return answer
}

/** cinder-manage on the test bed's cinder. */
export async function cinderManage(testbed: Testbed, ...args: readonly string[]): Promise<string> {
  const command = [RUN_COMMAND, 'cinder-manage', 'cinder.cmd.manage']
  return await outputOf(PYTHON, [...command, '--config-file', testbed.paths.cinderConf, ...args])
}

/** Rows of cinder's database, as MariaDB's own client shows them. */
export async function queryCinder(testbed: Testbed, statement: string): Promise<string[][]> {
  const { socket, user, name } = testbed.database
  const args = [
    '--no-defaults',
    `--socket=${socket}`,
    `--user=${user}`,
    '--batch',
    '--silent',
    name,
  ]
  const rows = await outputOf('mariadb', args, { input: statement })
  return rows
    .split('\n')
    .filter(Boolean)
    .map((row) => row.split('\t'))
}
