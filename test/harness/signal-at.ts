/**
 * Loaded into the command before its own code (`--import`): sends the process a signal when it is
 * about to write for the nth time to a file whose path begins with `file`. TEST_SIGNAL_AT holds
 * `{"file", "nth", "signal"}`, or a list of them; with `"steps": true` syncs count as well as writes.
 */
export const SIGNAL_AT = `
import { readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
const points = [JSON.parse(process.env.TEST_SIGNAL_AT)].flat()
const probe = await open('/dev/null')
const prototype = Object.getPrototypeOf(probe)
await probe.close()
const counts = points.map(() => 0)
async function passed(fd, isWrite) {
  const path = readlinkSync('/proc/self/fd/' + fd)
  for (const [index, { file, nth, signal, steps }] of points.entries()) {
    if (!path.startsWith(file) || !(isWrite || steps)) continue
    counts[index] += 1
    if (counts[index] !== nth) continue
    process.kill(process.pid, signal)
    // Node hears of it in a later turn; by then a busy machine may have written the rest.
    await setTimeout(100)
  }
}
const { write, sync } = prototype
prototype.write = async function (...args) {
  await passed(this.fd, true)
  return write.apply(this, args)
}
prototype.sync = async function (...args) {
  await passed(this.fd, false)
  return sync.apply(this, args)
}
`
