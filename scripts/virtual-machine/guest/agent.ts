import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import {
  createReadStream,
  openSync,
  readdirSync,
  readFileSync,
  write,
  writeFileSync,
} from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import {
  encodeFrame,
  type Frame,
  FrameReader,
  type GuestRequest,
  type ToGuest,
  type ToHost,
} from '../frames.js'

/**
 * Runs inside the machine and does what the host asks over a virtio serial port: starts programs
 * and carries their streams. Programs inside ask the host back through the socket ASK.
 */
const ASK = '/run/machine.sock'

const port = openSync(portNamed('volseal'), 'r+')
const programs = new Map<number, ChildProcessWithoutNullStreams>()
const asking = new Map<number, Socket>()
let written: Promise<unknown> = Promise.resolve()

listenToPrograms()
await say({ kind: 'ready' })
const frames = new FrameReader<ToGuest>()
for await (const piece of createReadStream('', { fd: port })) {
  for (const frame of frames.push(piece)) act(frame)
}

function act({ head, body }: Frame<ToGuest>): void {
  switch (head.kind) {
    case 'start':
      void start(head)
      break
    case 'input':
      programs.get(head.id)?.stdin.write(body)
      break
    case 'input-end':
      programs.get(head.id)?.stdin.end()
      break
    case 'signal':
      signal(head)
      break
    case 'answer':
      asking.get(head.id)?.end(`${JSON.stringify(head)}\n`)
      asking.delete(head.id)
      break
    case 'power-off':
      void powerOff()
  }
}

function portNamed(wanted: string): string {
  const ports = '/sys/class/virtio-ports'
  const found = readdirSync(ports).find(
    (name) => readFileSync(`${ports}/${name}/name`, 'utf8').trim() === wanted,
  )
  if (found === undefined) throw new Error(`no virtio port is called ${wanted}`)
  return `/dev/${found}`
}

type Message<Kind extends ToGuest['kind']> = Extract<ToGuest, { kind: Kind }>

async function start({ id, argv, env, cwd }: Message<'start'>): Promise<void> {
  const [file = '', ...args] = argv
  // A process group of its own, so that a signal can reach a program with all that it started.
  const options = { cwd, env: { ...process.env, ...env }, detached: true }
  const child = spawn(file, args, options)
  child.stdin.on('error', () => undefined)
  if (child.pid === undefined) {
    child.once('error', ({ message }) => void say({ kind: 'not-started', id, error: message }))
    return
  }
  programs.set(id, child)
  // All at once: what nobody listens to when a program ends is thrown away, its end included.
  const closed = new Promise((resolve) => {
    child.once('close', resolve)
  })
  await Promise.all([
    say({ kind: 'started', id, pid: child.pid }),
    carry(child.stdout, 'stdout', id),
    carry(child.stderr, 'stderr', id),
    closed,
  ])
  programs.delete(id)
  await say({ kind: 'ended', id, exitCode: child.exitCode, signal: child.signalCode })
}

async function carry(
  stream: AsyncIterable<Buffer>,
  kind: 'stdout' | 'stderr',
  id: number,
): Promise<void> {
  for await (const piece of stream) await say({ kind, id }, piece)
}

function signal({ id, signal: name, group }: Message<'signal'>): void {
  const pid = programs.get(id)?.pid
  if (pid === undefined) return
  try {
    process.kill(group ? -pid : pid, name)
  } catch {
    // It has just ended by itself.
  }
}

/** A program writes a line of JSON and reads one. */
function listenToPrograms(): void {
  let last = 0
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    createInterface(socket).once('line', (line) => {
      last += 1
      asking.set(last, socket)
      const request: GuestRequest = JSON.parse(line)
      void say({ kind: 'ask', id: last, request })
    })
  })
  server.listen(ASK)
}

async function powerOff(): Promise<void> {
  execFileSync('sync')
  await say({ kind: 'bye' })
  writeFileSync('/proc/sysrq-trigger', 'o')
}

/** Frames go out one after the other; a program whose output nobody reads is slowed down. */
async function say(head: ToHost, body?: Buffer): Promise<void> {
  const earlier = written
  written = (async () => {
    await earlier
    await writeAll(encodeFrame(head, body))
  })()
  await written
}

async function writeAll(bytes: Buffer): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await promisify(write)(port, bytes, done)
    done += bytesWritten
  }
}
