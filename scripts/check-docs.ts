import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { brokenLinks, markdownFiles } from './check-docs/links.js'
import { type Block, parseMarkdown } from './check-docs/markdown.js'
import type { Problem } from './check-docs/problem.js'
import { runShell } from './check-docs/shell.js'
import { runTypescript } from './check-docs/typescript.js'
import { openWorkshop } from './check-docs/workshop.js'
import { REPOSITORY } from './harness/program.js'
import { scratchDirectory } from './harness/scratch.js'

/**
 * Runs the examples of README.md and docs/*.md with the built volseal, and follows the relative
 * links of every Markdown file. `npm run check:docs [-- --document FILE]`, which may be repeated,
 * checks those documents instead.
 */
type Action = 'run in the shell' | 'run with node' | 'misspelt'

/** What is done with a block, by its info string; one that is not named here is only shown. */
const ACTIONS: Readonly<Record<string, Action>> = {
  sh: 'run in the shell',
  ts: 'run with node',
  bash: 'misspelt',
  shell: 'misspelt',
  js: 'misspelt',
  javascript: 'misspelt',
  typescript: 'misspelt',
}

const { values } = parseArgs({ options: { document: { type: 'string', multiple: true } } })
const scratch = scratchDirectory('docs')
const files = values.document ?? (await markdownFiles())
const problems: Problem[] = []
for (const file of files) problems.push(...(await checkDocument(file)))
for (const { document, line, message } of problems) console.error(`${document}:${line}: ${message}`)
console.log(`${files.length} documents, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1

async function checkDocument(document: string): Promise<Problem[]> {
  const path = resolve(values.document === undefined ? REPOSITORY : '.', document)
  const { blocks, links } = parseMarkdown(await readFile(path, 'utf8'))
  const broken = brokenLinks(document, path, links)
  return hasExamples(document) ? [...broken, ...(await checkExamples(document, blocks))] : broken
}

/** What is in other files is for those who work on volseal, not for those who use it. */
function hasExamples(document: string): boolean {
  return values.document !== undefined || /^(?:README|docs\/[^/]+)\.md$/.test(document)
}

async function checkExamples(document: string, blocks: readonly Block[]): Promise<Problem[]> {
  const of = (action: Action | undefined): Block[] =>
    blocks.filter(({ info }) => ACTIONS[info] === action)
  const [shell, node] = [of('run in the shell'), of('run with node')]
  console.log(`${document}: ${shell.length} blocks for the shell, ${node.length} for node`)
  for (const { line, info } of of(undefined))
    console.log(`  ${document}:${line}: not run (${info})`)
  const place = join(scratch, document.replaceAll(/[^\w.-]/g, '_'))
  const workshop = await openWorkshop(place)
  return [
    ...of('misspelt').map(({ line, info }) => ({
      document,
      line,
      message: `expected sh or ts, or one of them with no-run, got ${info}`,
    })),
    ...(await runShell(document, shell, workshop)),
    ...(await runTypescript(document, node, workshop)),
  ]
}
