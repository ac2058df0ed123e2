/**
 * Loaded into the command before its own code (`--import`): sends the process a signal when it is
 * about to write for the nth time to a file whose path begins with `file`. TEST_SIGNAL_AT holds
 * `{"file", "nth", "signal"}`.
 */
export const SIGNAL_AT = `
import { readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
const { file, nth, signal } = JSON.parse(process.env.TEST_SIGNAL_AT)
const probe = await open('/dev/null')
const prototype = Object.getPrototypeOf(probe)
await probe.close()
const { write } = prototype
let count = 0
prototype.write = function (...args) {
  if (readlinkSync('/proc/self/fd/' + this.fd).startsWith(file)) count += 1
  if (count === nth) process.kill(process.pid, signal)
  return write.apply(this, args)
}
`
