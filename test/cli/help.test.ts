import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.js'
import { COMMANDS, IN_A_CLOUD, PATHS } from './commands.js'
import { preparedScene } from './prepared.js'
import { copyScene, expectSuccess, leftovers, makeScene, run, type Scene, shell } from './scene.js'

const LONG_MS = 300_000
const WORDS_OF_CODE = new Map(Object.values(EXIT_CODES))

/** Those that need a device-mapper are pasted in the virtual machine: test/vm/attach.test.ts. */
const IN_A_MACHINE: ReadonlySet<string> = new Set(['attach', 'extend'])
const HERE = PATHS.filter((path) => !IN_A_MACHINE.has(path) && !IN_A_CLOUD.has(path))

let prepared: Scene
beforeAll(async () => {
  prepared = await preparedScene()
}, LONG_MS)

describe.concurrent('help', () => {
  it.each(COMMANDS)('$path shows usage, options, an example and exit codes', async (command) => {
    const help = await helpOf(command.path)
    expect(help).toMatch(new RegExp(`^Usage: volseal ${command.path} `))
    for (const { name, summary } of command.options) {
      expect(help).toContain(name)
      expect(summary).not.toBe('')
    }
    const [ok, ...failures] = exitCodes(help)
    expect(ok).toEqual([0, 'ok'])
    expect(failures[0]).toEqual(EXIT_CODES.usage)
    for (const [code, words] of failures) expect(WORDS_OF_CODE.get(code)).toBe(words)
  })

  it.each(HERE)('the example of %s runs as pasted', { timeout: LONG_MS }, async (path) => {
    const example = exampleOf(await helpOf(path))
    expect(example).toContain(`volseal ${path}`)
    const scene = await copyScene(prepared)
    removeNewFiles(scene, example)
    const { code, stderr } = await shell(scene, example)
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('error') })
    expect(leftovers(scene)).toEqual([])
  })
})

describe('the overview', () => {
  it.each([['--help'], ['-h'], ['help']])('%s lists every command', async (word) => {
    const { code, stdout, stderr } = await run(makeScene(), 'volseal', [word])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const path of PATHS) expect(stdout).toContain(`\n  ${path} `)
  })

  it('ends with a session that runs as pasted', { timeout: LONG_MS }, async () => {
    const overview = await expectSuccess(run(makeScene(), 'volseal', ['--help']))
    const session = overview.match(/^ {2}volseal .*$/gm) ?? []
    expect(session.length).toBe(4)
    const image = 'yes image | head -c 100000 >image.raw'
    await expectSuccess(shell(makeScene(), ['set -e', image, ...session].join('\n')))
  })

  it('--version prints one', async () => {
    const { code, stdout } = await run(makeScene(), 'volseal', ['--version'])
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })
})

async function helpOf(path: string): Promise<string> {
  const { code, stdout, stderr } = await run(prepared, 'volseal', [...path.split(' '), '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

/** The lines between the two last headings. */
function exampleOf(help: string): string {
  return help
    .slice(help.indexOf('\nExample:\n') + '\nExample:\n'.length, help.indexOf('\nExit codes:'))
    .trim()
}

function exitCodes(help: string): [code: number, words: string][] {
  const lines = help.slice(help.indexOf('Exit codes:\n')).trimEnd().split('\n').slice(1)
  return lines.map((line) => [Number(line.slice(0, 5)), line.slice(7)])
}

/** A file that `--out` names is there only after the command. */
function removeNewFiles({ work }: Scene, example: string): void {
  for (const [, name = ''] of example.matchAll(/--out (\S+)/g)) {
    rmSync(join(work, name), { force: true })
  }
}
