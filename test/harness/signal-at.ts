/**
 * Loaded into the command before its own code (`--import`): sends the process a signal when it is
 * about to write for the nth time to a file whose path begins with `file`. TEST_SIGNAL_AT holds
 * `{"file", "nth", "signal"}`, or a list of them; with `"steps": true` syncs count as well as writes.
 */
export const SIGNAL_AT = `
import { readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
const points = [JSON.parse(process.env.TEST_SIGNAL_AT)].flat()
const probe = await open('/dev/null')
const prototype = Object.getPrototypeOf(probe)
await probe.close()
const counts = points.map(() => 0)
function passed(fd, isWrite) {
  const path = readlinkSync('/proc/self/fd/' + fd)
  for (const [index, { file, nth, signal, steps }] of points.entries()) {
    if (!path.startsWith(file) || !(isWrite || steps)) continue
    counts[index] += 1
    if (counts[index] === nth) process.kill(process.pid, signal)
  }
}
const { write, sync } = prototype
prototype.write = function (...args) {
  passed(this.fd, true)
  return write.apply(this, args)
}
prototype.sync = function (...args) {
  passed(this.fd, false)
  return sync.apply(this, args)
}
`
