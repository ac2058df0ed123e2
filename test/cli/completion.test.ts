import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { SHELLS } from '../../src/cli/completion.js'
import { isInstalled } from '../harness/run.js'
import { COMMANDS, PATHS } from './commands.js'
import { expectSuccess, makeScene, run, type Scene } from './scene.js'

const LONG_MS = 120_000
const PARALLEL = { concurrent: true }

let scene: Scene
beforeAll(async () => {
  scene = makeScene()
  for (const name of ['image.raw', 'image.raw.signature', 'key.pem']) {
    writeFileSync(join(scene.work, name), '')
  }
  for (const shell of SHELLS) {
    const script = await expectSuccess(run(scene, 'volseal', ['completion', shell]))
    writeFileSync(join(scene.work, `volseal.${shell}`), script)
  }
}, LONG_MS)

/** What a user has typed, and what is offered; every shell must offer the same. */
const TYPED: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['volseal ', firstWords()],
  ['volseal si', ['sign']],
  ['volseal se', ['secret']],
  ['volseal cert ', secondWords('cert')],
  ['volseal keystore re', ['rekey']],
  ['volseal sign --ha', ['--hash']],
  ['volseal sign --hash ', ['SHA-224', 'SHA-256', 'SHA-384', 'SHA-512']],
  ['volseal sign image.raw --key key.pem --hash SHA-3', ['SHA-384']],
  ['volseal cert create --ca-', ['--ca-cert', '--ca-key', '--ca-passphrase-file']],
  ['volseal luks format --provider ', ['luks', 'luks2']],
  ['volseal completion ', SHELLS.toSorted()],
  ['volseal verify imag', ['image.raw', 'image.raw.signature']],
  ['volseal sign image.raw --key ke', ['key.pem']],
]

function firstWords(): string[] {
  return [...new Set(PATHS.map((path) => path.split(' ')[0] ?? ''))].toSorted()
}

function secondWords(group: string): string[] {
  const below = PATHS.filter((path) => path.startsWith(`${group} `))
  return below.map((path) => path.slice(group.length + 1)).toSorted()
}

/** Words are the last argument of COMP_WORDS, as bash splits the line; files come from `default`. */
const BASH = `
source ./volseal.bash
read -ra COMP_WORDS <<<"$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_volseal
if [ \${#COMPREPLY[@]} -eq 0 ] && [[ $(complete -p volseal) == *'-o default'* ]]; then
  COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
fi
printf '%s\\n' "\${COMPREPLY[@]}"
`

describe.concurrent('bash completion', () => {
  it('is valid bash', async () => {
    expect(await run(scene, 'bash', ['-n', 'volseal.bash'])).toMatchObject({ code: 0, stderr: '' })
  })

  it.each(TYPED)('%s', async (line, offered) => {
    expect(await inBash(line)).toEqual(offered)
  })

  it.each(COMMANDS)('offers all options and choices of $path', async ({ path, options }) => {
    expect(await inBash(`volseal ${path} -`)).toEqual(options.map(({ name }) => name).toSorted())
    for (const { name, choices } of options.filter((option) => option.choices.length > 0)) {
      expect(await inBash(`volseal ${path} ${name} `)).toEqual(choices.toSorted())
    }
  })

  it('leaves a command alone that a directory is called like', async () => {
    const registered = await expectSuccess(
      run(scene, 'bash', ['-c', 'source ./volseal.bash; complete -p volseal']),
    )
    expect(registered).not.toContain('filenames')
  })
})

async function inBash(line: string): Promise<string[]> {
  const printed = await expectSuccess(run(scene, 'bash', ['-c', BASH, 'bash', line]))
  return printed.split('\n').filter(Boolean).toSorted()
}

const FISH = 'source ./volseal.fish; complete -C $argv[1]'

describe.skipIf(!isInstalled('fish'))('fish completion (needs the package fish)', PARALLEL, () => {
  it('is valid fish', async () => {
    const { code, stderr } = await run(scene, 'fish', ['--no-execute', 'volseal.fish'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  it.each(TYPED)('%s', async (line, offered) => {
    const printed = await expectSuccess(run(scene, 'fish', ['--no-config', '-c', FISH, line]))
    const words = printed.split('\n').map((text) => text.split('\t')[0] ?? '')
    expect(words.filter(Boolean).toSorted()).toEqual(offered)
  })
})

/**
 * An interactive zsh behind a terminal of its own (zpty) gets the line and a tab. It completes as
 * far as all offers agree; a second widget then prints the line.
 */
const ZSH = `
zmodload zsh/zpty
zpty terminal zsh -f -i
zpty -w terminal "PS1= PS2= RPS1=; autoload -U compinit && compinit -D; source ./volseal.zsh"
zpty -w terminal 'show() { print -r -- "<<$BUFFER>>" }; zle -N show; bindkey "^T" show'
zpty -w terminal 'print REA""DY'
zpty -r -m terminal text '*READY*'
zpty -w -n terminal "$1"$'\\t\\C-t'
zpty -r -m terminal text '*<<*>>*'
print -r -- "$text"
`

const COMPLETED: readonly (readonly [line: string, completed: string])[] = [
  ['volseal si', 'volseal sign'],
  ['volseal cert re', 'volseal cert request'],
  ['volseal sign --ha', 'volseal sign --hash'],
  ['volseal sign --hash ', 'volseal sign --hash SHA-'],
  ['volseal sign --hash SHA-5', 'volseal sign --hash SHA-512'],
  ['volseal completion z', 'volseal completion zsh'],
  ['volseal sign image.raw --key ke', 'volseal sign image.raw --key key.pem'],
  ['volseal verify imag', 'volseal verify image.raw'],
]

describe.skipIf(!isInstalled('zsh'))('zsh completion (needs the package zsh)', PARALLEL, () => {
  it('is valid zsh', async () => {
    const { code, stderr } = await run(scene, 'zsh', ['-n', 'volseal.zsh'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  it.each(COMPLETED)('%s', { timeout: LONG_MS }, async (line, completed) => {
    const printed = await expectSuccess(run(scene, 'zsh', ['-f', '-c', ZSH, 'zsh', line]))
    expect(/<<(.*)>>/.exec(printed)?.[1]?.trimEnd()).toBe(completed)
  })
})
