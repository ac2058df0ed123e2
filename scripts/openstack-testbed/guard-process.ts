import { setTimeout as sleep } from 'node:timers/promises'
import { removeTestbed } from './down.js'
import { isAlive } from './processes.js'

/** Usage: guard-process.js DIRECTORY OWNER_PID OWNER_START_TIME */
const [directory = '', pid, startTime = ''] = process.argv.slice(2)
const LOOK_EVERY_MS = 500

while (isAlive({ pid: Number(pid), startTime })) await sleep(LOOK_EVERY_MS)
await removeTestbed(directory)
