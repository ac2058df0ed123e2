import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { REPOSITORY, runProgram } from '../harness/program.js'
import type { Block } from './markdown.js'
import { described, type Problem } from './problem.js'
import type { Workshop } from './workshop.js'

const TSC = `${REPOSITORY}node_modules/typescript/bin/tsc`
const TIMEOUT_MS = 300_000

/** What a user's project is compiled with. */
const TSCONFIG = {
  compilerOptions: {
    strict: true,
    module: 'node20',
    moduleDetection: 'force',
    target: 'es2023',
    types: ['node'],
    rootDir: 'examples',
    outDir: 'compiled',
  },
  include: ['examples'],
}

/** A line of `tsc --pretty false`: file, line, message. */
const TSC_ERROR = /^examples\/\d+\.ts\((\d+),\d+\): (.*)$/gm

/** Compiles all blocks against the built package, then runs each as a program. */
export async function runTypescript(
  document: string,
  blocks: readonly Block[],
  workshop: Workshop,
): Promise<Problem[]> {
  if (blocks.length === 0) return []
  const problems = await compile(document, blocks, workshop)
  if (problems.length > 0) return problems
  for (const { line } of blocks) {
    const argv = [process.execPath, join(workshop.place, 'compiled', `${line}.js`)]
    const { directory: cwd, env } = workshop
    const result = await runProgram(argv, { cwd, env, timeoutMs: TIMEOUT_MS })
    if (result.code !== 0) problems.push({ document, line, message: described(result) })
  }
  return problems
}

/** Each file is named by its block's line, and its lines have the numbers of the document's. */
async function compile(
  document: string,
  blocks: readonly Block[],
  { place }: Workshop,
): Promise<Problem[]> {
  const examples = join(place, 'examples')
  await mkdir(examples, { recursive: true })
  await writeFile(join(place, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  for (const { line, text } of blocks) {
    await writeFile(join(examples, `${line}.ts`), `${'\n'.repeat(line - 1)}${text}`)
  }
  const result = await runProgram([process.execPath, TSC, '--pretty', 'false'], { cwd: place })
  if (result.code === 0) return []
  const errors = [...result.stdout.toString().matchAll(TSC_ERROR)]
  if (errors.length === 0) return [{ document, line: 1, message: described(result) }]
  return errors.map(([, line, message = '']) => ({ document, line: Number(line), message }))
}
