import { setTimeout as sleep } from 'node:timers/promises'
import { lastLine, runCommand } from '../core/command.js'
import { VolsealError } from '../core/errors.js'
import { deviceUsers } from './device-users.js'
import { findMapping, mapperInfos } from './mapper.js'
import { udevState, WITHOUT_UDEV } from './udev.js'

/** As long as libdevmapper tries (dm_task_retry_remove: 25 times, 0.2 s apart). */
const UNUSED_TRIES = 25
const UNUSED_PAUSE_MS = 200
const CLOSE_TIMEOUT_MS = 60_000
const NO_SUCH_DEVICE = 4

/**
 * Closes a mapping; one that is not there is closed already. udev may still look at a device that
 * was just written, so cryptsetup tries for some seconds.
 *
 * @throws {VolsealError} `busy` naming who uses it
 */
export async function closeMapping(
  name: string,
  env?: Readonly<Record<string, string>>,
): Promise<void> {
  const environment = env ?? ((await udevState()) === 'silent' ? WITHOUT_UDEV : {})
  const result = await runCommand('cryptsetup', ['close', name], {
    env: environment,
    timeoutMs: CLOSE_TIMEOUT_MS,
  })
  if (result.exitCode === 0 || result.exitCode === NO_SUCH_DEVICE) return
  throw await stillOpen(name, lastLine(result))
}

/**
 * Makes sure that nobody has a mapping open; udev looks at what is new, and is waited for.
 *
 * @throws {VolsealError} `busy` naming who uses it
 */
export async function requireUnused(name: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const info = (await mapperInfos()).find((each) => each.name === name)
    if (info === undefined || info.openCount === 0) return
    if (tries === UNUSED_TRIES) throw await stillOpen(name, 'somebody has it open')
    await sleep(UNUSED_PAUSE_MS)
  }
}

/**
 * Removes a mapping that an open which was killed has left before it was in use; for cryptsetup, which
 * looks for a table, there is none.
 *
 * @throws {VolsealError} `busy`
 */
export async function removeUnfinished(name: string): Promise<void> {
  const result = await runCommand('dmsetup', ['remove', name], { env: WITHOUT_UDEV })
  if (result.exitCode !== 0) throw await stillOpen(name, lastLine(result))
}

async function stillOpen(name: string, said: string): Promise<VolsealError> {
  const users = await deviceUsers(findMapping(name)?.number)
  const by = users.length === 0 ? said : `it is in use by ${users.join(', ')}`
  return new VolsealError('busy', `cannot close /dev/mapper/${name}: ${by}`, {
    hint: `close it once nobody uses it: cryptsetup close ${name}`,
  })
}
