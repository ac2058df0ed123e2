import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { createReadStream, openSync, readdirSync, readFileSync, write, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { encodeFrame, type Frame, FrameReader } from '../frames.js'

/**
 * Runs inside the machine and does what the host asks over a virtio serial port: starts programs
 * and carries their streams. Programs inside ask the host back through the socket ASK.
 */
const ASK = '/run/machine.sock'

const port = openSync(portNamed('volseal'), 'r+')
const programs = new Map<number, ChildProcessWithoutNullStreams>()
const asking = new Map<number, Socket>()
let written: Promise<unknown> = Promise.resolve()

const ACTIONS: Readonly<Record<string, (frame: Frame, id: number) => Promise<void> | void>> = {
  start,
  input: ({ body }, id) => {
    programs.get(id)?.stdin.write(body)
  },
  'input-end': (_frame, id) => {
    programs.get(id)?.stdin.end()
  },
  signal,
  answer: ({ head }, id) => {
    asking.get(id)?.end(`${JSON.stringify(head)}\n`)
    asking.delete(id)
  },
  'power-off': powerOff,
}

listenToPrograms()
await say({ kind: 'ready' })
const frames = new FrameReader()
for await (const piece of createReadStream('', { fd: port })) {
  for (const frame of frames.push(piece)) {
    const action = ACTIONS[String(frame.head['kind'])]
    if (action === undefined) throw new Error(`unknown: ${JSON.stringify(frame.head)}`)
    void action(frame, Number(frame.head['id']))
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

async function start({ head }: Frame, id: number): Promise<void> {
  const [file = '', ...args] = head['argv'] as string[]
  const env = { ...process.env, ...(head['env'] as Record<string, string>) }
  // A process group of its own, so that a signal can reach a program with all that it started.
  const child = spawn(file, args, { cwd: String(head['cwd']), env, detached: true })
  programs.set(id, child)
  child.stdin.on('error', () => undefined)
  const failed = new Promise<string>((resolve) => {
    child.once('error', ({ message }) => {
      resolve(message)
    })
  })
  if (child.pid === undefined) {
    programs.delete(id)
    await say({ kind: 'ended', id, exitCode: null, signal: null, error: await failed })
    return
  }
  await say({ kind: 'started', id, pid: child.pid })
  const closed = new Promise((resolve) => {
    child.once('close', resolve)
  })
  await Promise.all([carry(child.stdout, 'stdout', id), carry(child.stderr, 'stderr', id), closed])
  programs.delete(id)
  await say({ kind: 'ended', id, exitCode: child.exitCode, signal: child.signalCode })
}

async function carry(stream: AsyncIterable<Buffer>, kind: string, id: number): Promise<void> {
  for await (const piece of stream) await say({ kind, id }, piece)
}

function signal({ head }: Frame, id: number): void {
  const pid = programs.get(id)?.pid
  if (pid === undefined) return
  try {
    process.kill(head['group'] === true ? -pid : pid, head['signal'] as NodeJS.Signals)
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
      void say({ kind: 'ask', id: last, request: JSON.parse(line) as unknown })
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
async function say(head: Frame['head'], body?: Buffer): Promise<void> {
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
