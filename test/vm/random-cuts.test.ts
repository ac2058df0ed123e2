import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { randomNumbers } from '../../scripts/virtual-machine/random.js'
import { openLocalKeyManager } from '../../src/index.js'
import { type Converse, converseWith } from '../harness/conversation.js'
import { bootMachine, type Machine } from '../harness/machine.js'
import { run, scratchDirectory } from '../harness/run.js'
import { hexOf, opensWith, peek } from '../harness/volumes.js'

/**
 * The power goes at a random instant of a command, and of what was not flushed each sector is lost
 * or not, as it is drawn. Whatever was drawn: the volume is as it was before the command or as it is
 * after it, the same command comes to its end, and no byte of the content is lost.
 */
const isLong = process.env['VOLSEAL_LONG'] === '1'
const ROUNDS = Number(process.env['VOLSEAL_ROUNDS'] ?? (isLong ? 300 : 4))
/** The normal run draws the same each time; how far a command comes until then still differs. */
const SEED = Number(process.env['VOLSEAL_SEED'] ?? (isLong ? randomInt(1_000_000) : 20261121))

const MIB = 1024 * 1024
const CONTENT_BYTES = 256 * 1024
/** Where the guest's bytes begin. */
const PAYLOAD = { luks: 2 * MIB, luks2: 16 * MIB } as const
/** A device with a link is attached as os-brick's connectors have it. */
const LINK = '/tmp/volume'

interface Volume {
  readonly disk: number
  readonly device: string
  readonly provider: 'luks' | 'luks2'
  /** Changed by a rekey, with `otherKey`. */
  key: string
  otherKey: string
  /** Changed by a first use, as is the volume's name. */
  content: Buffer
  id: string
}

interface Answer {
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: string; readonly message: string }
}

const directory = scratchDirectory()
const hex = new Map<string, string>()
let machine: Machine
let converse: Converse<Answer>
let volumes: readonly Volume[]
/** How long each call took when it last came to its end. */
const usualMs = new Map<string, number>()
/** Commands that were cut off before they had said that they were done. */
let unfinished = 0

async function makeKeys(): Promise<[string, string]> {
  const key = { kind: 'file', path: join(directory, 'key') } as const
  const manager = await openLocalKeyManager({ store: join(directory, 'keys'), key })
  const create = async (): Promise<string> => {
    const id = await manager.createKey({ algorithm: 'aes', bitLength: 256 })
    hex.set(id, await hexOf(manager, id))
    return id
  }
  return [await create(), await create()]
}

/** A machine forgets everything but its disks when it is switched off. */
async function furnish(): Promise<void> {
  const input = run('tar', ['-cz', '-C', '/', directory.slice(1)])
  await machine.run('tar', ['-xz', '-C', '/'], { input })
  const program = '/opt/volseal/test/harness/volseal-process.mjs'
  const [store, key] = [join(directory, 'keys'), join(directory, 'key')]
  converse = await converseWith(machine, ['node', program, store, key])
}

async function call(name: string, options: object = {}): Promise<Answer> {
  const began = performance.now()
  const answer = await converse({ call: name, options })
  if (answer.error === undefined) usualMs.set(kindOf(name, options), performance.now() - began)
  return answer
}

/** A first use is an attachment that takes longer. */
function kindOf(name: string, options: object): string {
  return 'firstUse' in options ? 'first use' : name
}

async function succeed(name: string, options: object = {}): Promise<Answer['result']> {
  const { result, error } = await call(name, options)
  expect(error).toBeUndefined()
  return result
}

async function inMachine(script: string, input: string | Buffer = ''): Promise<Buffer> {
  const { exitCode, stderr, bytes } = await machine.shell(script, { input })
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 })
  return bytes
}

const attaching = ({ device, key }: Volume): object => ({ device, keyId: key })

/** Opens it, looks into it, and closes it again: nothing is left of that either. */
async function expectContent(volume: Volume): Promise<void> {
  await succeed('attachVolume', attaching(volume))
  await expectBytes(volume)
  await succeed('detachVolume', { device: volume.device })
}

async function expectBytes({ device, content }: Volume): Promise<void> {
  const path = `/dev/mapper/crypt-${device.replace('/dev/', '')}`
  const found = await inMachine(`head -c ${CONTENT_BYTES} ${path}`)
  expect(found.equals(content)).toBe(true)
}

async function expectNothingLeft(): Promise<void> {
  expect(await succeed('collectGarbage', { places: ['/tmp'] })).toMatchObject({ garbage: [] })
  expect((await inMachine('dmsetup ls')).toString()).toContain('No devices found')
}

/** Which of the volume's two keys open what has reached the disk. */
function opening({ disk, key, otherKey }: Volume): { now: boolean; other: boolean } {
  const { path } = machine.disk(disk)
  const opens = (id: string): boolean => opensWith(path, hex.get(id) ?? '')
  return { now: opens(key), other: opens(otherKey) }
}

function headerOf({ disk, provider }: Volume): Buffer {
  return peek(machine.disk(disk).path, 0, PAYLOAD[provider])
}

async function makeBlank({ device }: Volume): Promise<void> {
  await inMachine(`blkdiscard --zeroout ${device} && sync ${device}`)
}

async function fill(volume: Volume): Promise<void> {
  volume.content = randomBytes(CONTENT_BYTES)
  const path = `/dev/mapper/crypt-${volume.device.replace('/dev/', '')}`
  await inMachine(`dd of=${path} bs=64K iflag=fullblock conv=fsync status=none`, volume.content)
}

/** With a slot that is dear to open. */
async function makeDear({ device, key }: Volume): Promise<void> {
  const dear = '--pbkdf pbkdf2 --pbkdf-force-iterations 20000 --key-file /tmp/passphrase'
  const change = `cryptsetup luksChangeKey -q ${dear} ${device} /tmp/passphrase`
  await inMachine(`cat >/tmp/passphrase && ${change}`, hex.get(key))
}

const firstUse = (volume: Volume): object => ({
  ...attaching(volume),
  provider: volume.provider,
  firstUse: { volumeId: volume.id, evidence: 'blank' },
})

interface Command {
  readonly name: string
  readonly call: string
  readonly options: (volume: Volume) => object
  readonly prepare: (volume: Volume) => Promise<void>
  /** Looks at the disk while the machine is off; `ended` when the command had said that it is done. */
  readonly cut: (volume: Volume, before: Buffer, ended: boolean) => void
  /** Brings it to its end after the machine has booted, and looks at what that has made. */
  readonly again: (volume: Volume) => Promise<void>
}

/** What opens and closes a volume never writes to it. */
function expectUntouched(volume: Volume, before: Buffer): void {
  expect(headerOf(volume).equals(before)).toBe(true)
  expect(opening(volume).now).toBe(true)
}

/** Those that write to the disk come first: the normal run has them all. */
const COMMANDS: readonly Command[] = [
  {
    name: 'first use',
    call: 'attachVolume',
    options: firstUse,
    prepare: async (volume) => {
      volume.id = randomUUID()
      await makeBlank(volume)
    },
    cut: (volume, _before, ended) => {
      if (ended) expect(opening(volume).now).toBe(true)
    },
    again: async (volume) => {
      await succeed('attachVolume', firstUse(volume))
      await fill(volume)
      expect(await succeed('attachVolume', attaching(volume))).toMatchObject({ adopted: true })
      await succeed('detachVolume', { device: volume.device })
    },
  },
  {
    name: 'rekey',
    call: 'rekeyVolume',
    options: rekeying,
    prepare: async () => {},
    cut: (volume, _before, ended) => {
      const { now, other } = opening(volume)
      expect({ now, other, any: now || other }).toMatchObject({ any: true })
      if (ended) expect({ now, other }).toEqual({ now: false, other: true })
    },
    again: async (volume) => {
      await succeed('rekeyVolume', rekeying(volume))
      expect(opening(volume)).toEqual({ now: false, other: true })
      const { key, otherKey } = volume
      Object.assign(volume, { key: otherKey, otherKey: key })
    },
  },
  {
    name: 'tune',
    call: 'tuneVolume',
    options: tuning,
    prepare: makeDear,
    cut: (volume) => {
      expect(opening(volume).now).toBe(true)
    },
    again: async (volume) => {
      const tuned = await succeed('tuneVolume', tuning(volume))
      expect(tuned).toMatchObject({ after: { keyslots: [{ pbkdf: 'pbkdf2', iterations: 1000 }] } })
      expect(opening(volume)).toEqual({ now: true, other: false })
    },
  },
  {
    name: 'extend',
    call: 'extendVolume',
    options: attaching,
    prepare: async (volume) => {
      await succeed('attachVolume', attaching(volume))
      await machine.growDisk(volume.disk, machine.disk(volume.disk).size + MIB)
    },
    cut: expectUntouched,
    again: async (volume) => {
      const { error } = await call('extendVolume', attaching(volume))
      expect(error).toMatchObject({ code: 'no-device' })
      const size = machine.disk(volume.disk).size - PAYLOAD[volume.provider]
      expect(await succeed('attachVolume', attaching(volume))).toMatchObject({ size })
      expect(await succeed('extendVolume', attaching(volume))).toMatchObject({ size })
      await expectBytes(volume)
      await succeed('detachVolume', { device: volume.device })
    },
  },
  {
    name: 'attach',
    call: 'attachVolume',
    options: withLink,
    prepare: connect,
    cut: expectUntouched,
    again: async (volume) => {
      await connect(volume)
      await succeed('attachVolume', withLink(volume))
      expect((await inMachine(`head -c ${CONTENT_BYTES} ${LINK}`)).equals(volume.content)).toBe(
        true,
      )
      expect(await succeed('detachVolume', { device: LINK })).toMatchObject({ link: 'restored' })
    },
  },
  {
    name: 'detach',
    call: 'detachVolume',
    options: () => ({ device: LINK }),
    prepare: async (volume) => {
      await connect(volume)
      await succeed('attachVolume', withLink(volume))
    },
    cut: expectUntouched,
    again: async (volume) => {
      await connect(volume)
      expect(await succeed('detachVolume', { device: LINK })).toMatchObject({ detached: false })
    },
  },
]

function rekeying({ device, key, otherKey }: Volume): object {
  return { device, keyId: key, newKeyId: otherKey, backup: 'none' }
}

function tuning({ device, key }: Volume): object {
  return { device, keyId: key, backup: 'none' }
}

function withLink({ key }: Volume): object {
  return { device: LINK, link: LINK, keyId: key }
}

async function connect({ device }: Volume): Promise<void> {
  await inMachine(`ln -sfn ${device} ${LINK}`)
}

beforeAll(async () => {
  mkdirSync(join(directory, 'keys'), { mode: 0o700 })
  const [key, otherKey] = await makeKeys()
  const common = { key, otherKey, content: Buffer.alloc(0), id: randomUUID() }
  volumes = [
    { disk: 0, device: '/dev/vdb', provider: 'luks2', ...common },
    { disk: 1, device: '/dev/vdc', provider: 'luks', ...common },
  ]
  machine = await bootMachine({ disks: ['20M', '20M'] })
  await furnish()
  for (const volume of volumes) {
    await succeed('attachVolume', firstUse(volume))
    await fill(volume)
    await succeed('detachVolume', { device: volume.device })
  }
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
})

/** Starts the command and cuts the power; whether it had said by then that it is done. */
async function cutDuring(
  command: Command,
  volume: Volume,
  ms: number,
  seed: number,
): Promise<boolean> {
  let answer: Answer | undefined
  const running = call(command.call, command.options(volume)).then(
    (said) => (answer = said),
    () => undefined,
  )
  await sleep(ms)
  const ended = answer !== undefined
  expect(answer?.error).toBeUndefined()
  await machine.kill(seed)
  await running
  return ended
}

function nth<T>(list: readonly T[], number: number): T {
  const found = list[number % list.length]
  if (found === undefined) throw new Error('the list is empty')
  return found
}

describe(`the power goes at a random instant (VOLSEAL_SEED=${SEED})`, () => {
  const rounds = Array.from({ length: ROUNDS }, (_, index) => ({
    round: index + 1,
    command: nth(COMMANDS, index),
  }))

  it.each(rounds)('round $round: $command.name', async ({ round, command }) => {
    const draw = randomNumbers(SEED + round)
    const volume = nth(volumes, draw())
    await command.prepare(volume)
    await inMachine('sync')
    const before = headerOf(volume)
    const kind = kindOf(command.call, command.options(volume))
    const ms = (draw() / 2 ** 32) * (usualMs.get(kind) ?? usualMs.get('first use') ?? 0)
    const ended = await cutDuring(command, volume, ms, draw())
    if (!ended) unfinished += 1
    command.cut(volume, before, ended)
    await machine.boot()
    await furnish()
    await command.again(volume)
    await expectContent(volume)
    await expectNothingLeft()
  })

  it('has cut commands in the middle, and lost nothing of any volume', async () => {
    expect(unfinished).toBeGreaterThan(0)
    for (const volume of volumes) await expectContent(volume)
  })
})
