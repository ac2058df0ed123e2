import { readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { runProgram } from '../harness/program.js'
import type { Block } from './markdown.js'
import { described, type Problem } from './problem.js'
import type { Workshop } from './workshop.js'

const TIMEOUT_MS = 300_000

/**
 * Runs the blocks in their order in one directory. The first that fails is the last that is run:
 * what follows builds on it.
 */
export async function runShell(
  document: string,
  blocks: readonly Block[],
  workshop: Workshop,
): Promise<Problem[]> {
  for (const block of blocks) {
    const problem = await runBlock(document, block, workshop)
    if (problem !== undefined) return [problem]
  }
  return []
}

/** The script's lines have the numbers that they have in the document, so that bash names them. */
async function runBlock(
  document: string,
  { line, text }: Block,
  { place, directory, env }: Workshop,
): Promise<Problem | undefined> {
  const script = join(place, basename(document))
  const lastLine = join(place, 'last-line')
  // DEBUG comes before every command; ERR would not come for a variable that is not set.
  const prologue = `trap 'echo "$LINENO" > "${lastLine}"' DEBUG`
  await writeFile(script, `${prologue}${'\n'.repeat(line - 1)}${text}`)
  await rm(lastLine, { force: true })
  const argv = ['bash', '-eu', script]
  const result = await runProgram(argv, { cwd: directory, env, timeoutMs: TIMEOUT_MS })
  if (result.code === 0) return undefined
  const last = await readFile(lastLine, 'utf8').catch(() => String(line))
  return { document, line: Number(last), message: described(result) }
}
