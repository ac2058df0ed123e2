import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript'
import { SOURCES } from './paths.js'

export interface GuestFile {
  /** In the machine, without the first slash. */
  readonly path: string
  readonly data: Buffer
  readonly mode: number
}

/** Path in the machine, and the source here. */
const SCRIPTS: readonly (readonly [string, string])[] = [
  ['etc/inittab', 'guest/inittab'],
  ['opt/machine/guest/start', 'guest/start'],
  ['opt/machine/guest/main', 'guest/main'],
  ['opt/machine/guest/welcome', 'guest/welcome'],
]
const MODULES: readonly (readonly [string, string])[] = [
  ['opt/machine/guest/agent.js', 'guest/agent.ts'],
  ['opt/machine/frames.js', 'frames.ts'],
]

/** What runs inside the machine beside Debian's programs. */
export function guestFiles(): GuestFile[] {
  return [
    ...SCRIPTS.map(([path, source]) => ({ path, data: read(source), mode: 0o755 })),
    ...MODULES.map(([path, source]) => ({ path, data: compiled(source), mode: 0o644 })),
    { path: 'opt/machine/package.json', data: Buffer.from('{"type":"module"}'), mode: 0o644 },
  ]
}

/** The first program, which runs before the root file system is there. */
export function firstProgram(): Buffer {
  return read('guest/init')
}

function read(source: string): Buffer {
  return readFileSync(join(SOURCES, source))
}

function compiled(source: string): Buffer {
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2023 }
  return Buffer.from(transpileModule(read(source).toString(), { compilerOptions }).outputText)
}
