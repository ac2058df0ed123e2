/**
 * The library in one process, for tests that would start the command many times in an emulated
 * machine. Each line of standard input is a call, {"call": "attachVolume", "options": {…}}; each
 * line of standard output says how one has ended, {"result": …} or {"error": {"code", "message"}}.
 */
import { createInterface } from 'node:readline'
import * as volseal from '../../dist/index.js'

const [store, path] = process.argv.slice(2)
const keyManager = await volseal.openLocalKeyManager({ store, key: { kind: 'file', path } })

const calls = new Map(Object.entries(volseal))

async function answer({ call, options }) {
  try {
    return { result: await calls.get(call)({ ...options, keyManager }) }
  } catch (error) {
    return { error: { code: error.code ?? 'internal', message: String(error) } }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
}
