import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { bedProcesses } from '../../scripts/openstack-testbed/processes.js'
import { untilTrue } from '../harness/cinder.js'
import { runProgram } from '../harness/program.js'
import { scratchDirectory } from '../harness/run.js'
import { readTestbed, type Testbed } from '../harness/testbed.js'
import { TESTBED, testbedCommand } from '../harness/testbed-command.js'

/** The test bed itself: what it starts ends with it, however that comes about. */

const scratch = scratchDirectory()
const directory = join(scratch, 'bed')

afterAll(async () => {
  await testbedCommand('down', directory)
})

function running(): string[] {
  return bedProcesses(directory).map(({ role }) => role)
}

/** `scripts/testbed up`, once its services are there and before they are ready. */
async function halfUp(): Promise<{ child: ChildProcess; ended: Promise<unknown> }> {
  const child = spawn(TESTBED, ['up', directory], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  await untilTrue(
    async () => await Promise.resolve(running()),
    (roles) => roles.includes('cinder'),
  )
  return { child, ended }
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const opened = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'error').then(() => false),
  ]).catch(() => false)
  socket.destroy()
  return opened
}

async function openPorts({ services }: Testbed): Promise<number[]> {
  const ports = Object.values(services).flatMap(({ port }) => port ?? [])
  const open = await Promise.all(ports.map(isOpen))
  return ports.filter((_, index) => open[index])
}

describe('a test bed that is interrupted while it comes up', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('undoes itself on %s', async (signal, code) => {
    const { child, ended } = await halfUp()
    child.kill(signal)
    expect(await ended).toEqual([code, null])
    expect(running()).toEqual([])
    expect(existsSync(directory)).toBe(false)
  })

  it('leaves nothing running after down when it was killed', async () => {
    const { child, ended } = await halfUp()
    child.kill('SIGKILL')
    await ended
    await testbedCommand('down', directory)
    expect(running()).toEqual([])
  })
})

describe('a test bed that is up', () => {
  it('stays as it is when it is told to come up again, and ends with its owner', async () => {
    const owner = spawn('sleep', ['600'])
    await testbedCommand('up', directory, '--owner', `${owner.pid}`)
    const testbed = readTestbed(directory)
    expect(await openPorts(testbed)).toHaveLength(4)
    await testbedCommand('up', directory)
    expect(readTestbed(directory)).toEqual(testbed)
    const status = await testbedCommand('status', directory, '--json')
    expect(JSON.parse(status)).toMatchObject({ directory, up: true })
    // As whoever ends a run with all that belongs to it: the guard cleans up all the same.
    for (const { pid, role } of bedProcesses(directory)) if (role === 'guard') process.kill(pid)
    owner.kill('SIGKILL')
    await untilTrue(
      async () => await Promise.resolve(existsSync(directory) || running().length > 0),
      (isThere) => !isThere,
    )
    expect(await openPorts(testbed)).toEqual([])
  })

  it('is down after down, which may be said twice', async () => {
    await testbedCommand('down', directory, '--purge')
    await testbedCommand('down', directory, '--purge')
    const status = await runProgram(TESTBED, ['status', directory])
    expect(status).toMatchObject({ code: 1, stdout: `${directory}: down\n` })
  })
})

describe('a test bed that cannot come up', () => {
  it('says which service, with the end of its log, and leaves nothing running', async () => {
    const { child, ended } = await halfUp()
    child.kill('SIGKILL')
    await ended
    await testbedCommand('down', directory)
    rmSync(join(directory, 'mariadb/data'), { recursive: true, force: true })
    mkdirSync(join(directory, 'mariadb/data'), { recursive: true })
    const { code, stderr } = await runProgram(TESTBED, ['up', directory])
    expect(code).toBe(1)
    expect(stderr).toContain('testbed: mariadb did not come up: its process ended')
    expect(stderr).toContain(join(directory, 'logs/mariadb.log'))
    expect(stderr).toContain("Can't open and lock privilege tables")
    expect(running()).toEqual([])
  })

  it('leaves a directory with other things alone', async () => {
    const foreign = join(scratch, 'foreign')
    mkdirSync(foreign)
    writeFileSync(join(foreign, 'letter.txt'), 'dear reader')
    const up = await runProgram(TESTBED, ['up', foreign])
    expect(up.code).toBe(1)
    expect(up.stderr).toContain('it holds other things')
    await testbedCommand('down', foreign, '--purge')
    expect(readdirSync(foreign)).toEqual(['letter.txt'])
  })

  it.each([
    [['up', directory, '--with', 'nova'], /expected swift or fresh-tokens, got nova/],
    [['up', directory, '--key-manager', 'vault'], /expected barbican or conf, got vault/],
    [['up', directory, '--fixed-key', '123'], /expected an even number of hex digits/],
    [['down', directory, '--json'], /down has no option --json/],
    [['up'], /usage: scripts\/testbed/],
    [['restart-cinder', directory, '--no-such'], /Unknown option/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await runProgram(TESTBED, args)
    expect(code).toBe(2)
    expect(stderr).toMatch(message)
  })
})
