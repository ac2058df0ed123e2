import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bootMachine, type Machine } from '../harness/machine.js'

const MIB = 1024 * 1024

describe('a machine that runs', () => {
  let machine: Machine
  beforeAll(async () => {
    machine = await bootMachine({ disks: ['8M', '16M', '8M'], udev: 'running' })
  })
  afterAll(async () => {
    await machine[Symbol.asyncDispose]()
  })

  it('carries bytes both ways, exit codes and signals', async () => {
    const bytes = randomBytes(300_000)
    expect((await machine.run('cat', [], { input: bytes })).bytes.equals(bytes)).toBe(true)
    expect(await machine.shell('echo out; echo err >&2; exit 7')).toMatchObject({
      exitCode: 7,
      signal: null,
      stdout: 'out\n',
      stderr: 'err\n',
    })
    const sleeper = await machine.start('sleep', ['1000'])
    sleeper.kill('SIGTERM')
    expect(await sleeper.ended).toMatchObject({ exitCode: null, signal: 'SIGTERM' })
    await expect(machine.run('no-such-program')).rejects.toThrow('ENOENT')
    const late = machine.run('sleep', ['1000'], { timeoutMs: 500 })
    await expect(late).rejects.toThrow('took over 500 ms')
  })

  it('grows a disk while it runs', async () => {
    const size = async (): Promise<string> =>
      (await machine.shell('blockdev --getsize64 /dev/vdb /dev/vdc')).stdout
    expect(await size()).toBe(`${8 * MIB}\n${16 * MIB}\n`)
    await machine.growDisk(0, '24M')
    expect(await size()).toBe(`${24 * MIB}\n${16 * MIB}\n`)
    const end = 'yes | dd of=/dev/vdb bs=1M seek=23 count=1 iflag=fullblock oflag=direct'
    expect(await machine.shell(end)).toMatchObject({ exitCode: 0 })
  })

  it('fails reads and writes of a part of a disk, and goes on when it is told to', async () => {
    const read = 'dd if=/dev/vdd of=/dev/null bs=1M count=1 iflag=direct skip='
    const write = 'dd if=/dev/zero of=/dev/vdd bs=1M count=1 oflag=direct seek='
    const heal = machine.failDisk(2, { offset: 4 * MIB, length: 512, on: 'both' })
    expect(await machine.shell(`${read}3`)).toMatchObject({ exitCode: 0 })
    for (const access of [read, write]) {
      const failed = await machine.shell(`${access}4`)
      expect(failed).toMatchObject({ exitCode: 1 })
      expect(failed.stderr).toContain('Input/output error')
    }
    heal()
    expect(await machine.shell(`${write}4 && ${read}4`)).toMatchObject({ exitCode: 0 })
  })

  it('runs udevd, stops it and ends it', async () => {
    const ping = async (): Promise<number | null> =>
      (await machine.shell('udevadm control --ping --timeout=2')).exitCode
    expect((await machine.shell('readlink /dev/disk/by-id/virtio-disk0')).stdout).toBe(
      '../../vdb\n',
    )
    expect(await ping()).toBe(0)
    await machine.udev('stop')
    expect(await ping()).toBe(1)
    await machine.udev('continue')
    expect(await ping()).toBe(0)
    await machine.udev('kill')
    expect(await ping()).toBe(1)
  })
})

/** Each of these ends it: a boot is dear, so the next one begins with it. */
describe('a machine that is switched off', () => {
  let machine: Machine
  const start = (): Buffer => readFileSync(machine.disk(0).path).subarray(0, 8192)
  const read = 'dd if=/dev/vdb bs=4K count=2 iflag=direct'
  beforeAll(async () => {
    machine = await bootMachine({ disks: ['8M', '8M'] })
  })
  afterAll(async () => {
    await machine[Symbol.asyncDispose]()
  })

  it('loses what was not flushed when the power goes, and nothing else', async () => {
    const write = (what: string, at: number, options: string): string =>
      `yes ${what} | dd of=/dev/vdb bs=4K seek=${at} count=1 iflag=fullblock oflag=direct ${options}`
    // oflag=direct: the kernel has sent it to the disk; only fsync makes the disk keep it.
    await machine.shell(write('flushed', 0, 'conv=fsync'))
    await machine.shell(write('cached', 1, ''))
    const both = await machine.shell(`${read} | uniq`)
    expect(both.stdout).toContain('flushed')
    expect(both.stdout).toContain('cached')
    await machine.kill()
    expect(start()).toEqual(Buffer.concat([Buffer.alloc(4096, 'flushed\n'), Buffer.alloc(4096)]))
    await machine.boot()
    const after = await machine.shell(read)
    expect(after.stdout).toBe(`${'flushed\n'.repeat(512)}${'\0'.repeat(4096)}`)
  })

  it('keeps some of the sectors that were not flushed, when that is asked for', async () => {
    await machine.shell('yes | dd of=/dev/vdc bs=64K count=1 iflag=fullblock oflag=direct')
    await machine.kill(1)
    const sectors = Array.from({ length: 128 }, (_, index) =>
      readFileSync(machine.disk(1).path).readUInt16LE(index * 512),
    )
    const kept = sectors.filter((first) => first !== 0).length
    expect(kept).toBeGreaterThan(30)
    expect(kept).toBeLessThan(98)
    await machine.boot()
  })

  it('keeps everything when it is switched off in order', async () => {
    await machine.shell('yes | head -c 8192 >/dev/vdb')
    await machine.stop()
    expect(start()).toEqual(Buffer.alloc(8192, 'y\n'))
    await machine.boot()
  })

  it('calls a panic, and a program that it takes along, an error', async () => {
    await expect(machine.shell('echo c >/proc/sysrq-trigger')).rejects.toThrow(
      /ended by itself[^]*sysrq triggered crash/,
    )
    await expect(machine.shell('true')).rejects.toThrow('ended by itself')
  })
})
