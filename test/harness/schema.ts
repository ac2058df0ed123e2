import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('./check_schema.py', import.meta.url))
const PYTHON = '/usr/bin/python3'

export const hasJsonschema: boolean = spawnSync(PYTHON, ['-c', 'import jsonschema']).status === 0

/** The first fault of each value by a schema of the folder `schemas`, or null. */
export function schemaFaults(name: string, values: readonly object[]): (string | null)[] {
  const schema = fileURLToPath(new URL(`../../schemas/${name}`, import.meta.url))
  const result = spawnSync(PYTHON, [SCRIPT], { input: JSON.stringify({ schema, values }) })
  if (result.status !== 0) throw new Error(result.stderr.toString())
  return JSON.parse(result.stdout.toString())
}
