import { readdir, readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted, VolsealError } from '../../core/errors.js'
import { type Device, identityOf } from '../device.js'

const POLL_MS = 200
const PATIENCE_MS = 120_000

/**
 * Waits until no cryptsetup works on the device. After a kill of ours its last one goes on: a slow
 * key derivation takes seconds, and only then is the header changed. LUKS1 has no lock of its own, so
 * two that add a slot at once would both take the same.
 *
 * @throws {VolsealError} `busy` naming the process
 */
export async function untilAlone(device: Device, signal?: AbortSignal): Promise<void> {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const pid = await cryptsetupOn(device)
    if (pid === undefined) return
    throwIfAborted(signal)
    if (Date.now() > end) {
      throw new VolsealError('busy', `${device.path} is in use by cryptsetup, process ${pid}`, {
        hint: 'nothing was changed; wait for that one, or end it',
      })
    }
    await sleep(POLL_MS)
  }
}

async function cryptsetupOn(device: Device): Promise<string | undefined> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const words = line.split('\0')
    // Either the program itself, or the interpreter of a script of that name.
    if (!words.slice(0, 2).some((word) => basename(word) === 'cryptsetup')) continue
    if (await namesDevice(words.slice(1), device)) return pid
  }
  return undefined
}

async function namesDevice(words: readonly string[], device: Device): Promise<boolean> {
  for (const word of words.filter((text) => text.startsWith('/'))) {
    const stats = await stat(word).catch(() => undefined)
    if (stats !== undefined && identityOf(stats) === device.identity) return true
  }
  return false
}
