import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

/** The agent inside the machine, which passes requests on to the host. */
const SOCKET = '/run/machine.sock'

/** For tests that run inside the machine: makes one of its disks larger while it runs. */
export async function growDisk(disk: number, size: string): Promise<void> {
  await askHost({ action: 'grow-disk', disk, size })
}

async function askHost(request: Readonly<Record<string, unknown>>): Promise<void> {
  const socket = connect(SOCKET)
  // Ended only by the answer: the other side closes with it.
  socket.write(`${JSON.stringify(request)}\n`)
  const answer: { error?: string } = JSON.parse(await text(socket))
  if (answer.error !== undefined) throw new Error(`the host says: ${answer.error}`)
}
