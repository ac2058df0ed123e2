import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { output } from '../harness/program.js'
import { type CpioEntry, cpioArchive } from './cpio.js'
import { downloadPackages } from './debian.js'
import { firstProgram, guestFiles } from './guest-files.js'
import { initramfs } from './initramfs.js'
import { npmClosure } from './npm-closure.js'
import { CACHE, REPOSITORY, SOURCES } from './paths.js'
import { makeRootTree } from './root-tree.js'

/** What qemu boots. */
export interface Images {
  readonly kernel: string
  /** The initial memory file system, with the project in it. */
  readonly initrd: string
  /** Read-only root file system. */
  readonly root: string
}

/**
 * The machine's images, made where they are not there yet: the base, which is large and changes
 * seldom, and the project as it was built, which is appended to the initial memory file system.
 */
export async function machineImages(): Promise<Images> {
  const base = await cached(`base-${baseKey()}`, buildBase)
  const archive = projectArchive()
  const project = await cached(`project-${sha256(base, archive)}`, (directory) => {
    const start = readFileSync(join(base, 'initramfs'))
    writeFileSync(join(directory, 'initrd'), Buffer.concat([start, archive]))
  })
  return {
    kernel: join(base, 'kernel'),
    root: join(base, 'root.ext4'),
    initrd: join(project, 'initrd'),
  }
}

/** Made in a directory that gets its name last: who comes second finds it whole. */
async function cached(
  name: string,
  make: (directory: string) => Promise<void> | void,
): Promise<string> {
  const path = join(CACHE, name)
  if (existsSync(path)) return path
  mkdirSync(CACHE, { recursive: true })
  const directory = mkdtempSync(join(CACHE, 'unfinished-'))
  try {
    await make(directory)
    removeOlder(name)
    renameSync(directory, path)
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    // Somebody else was faster with the same.
    if (!existsSync(path)) throw error
  }
  return path
}

/** The one before the new one stays, for a machine that starts just now. */
function removeOlder(name: string): void {
  const kind = name.slice(0, name.indexOf('-') + 1)
  const age = (path: string): number => statSync(path).mtimeMs
  const others = readdirSync(CACHE)
    .filter((path) => path.startsWith(kind))
    .map((path) => join(CACHE, path))
  for (const path of others.toSorted((a, b) => age(b) - age(a)).slice(1)) {
    rmSync(path, { recursive: true, force: true })
  }
}

/** All that the base is made of, but for the packages' versions: `scripts/vm clean` renews them. */
function baseKey(): string {
  const recipe = ['debian.ts', 'root-tree.ts', 'initramfs.ts'].map((name) =>
    readFileSync(join(SOURCES, name)),
  )
  const npm = npmClosure().map((path) => readFileSync(join(REPOSITORY, path, 'package.json')))
  const guest = guestFiles().flatMap(({ path, data }) => [path, data])
  return sha256(process.version, firstProgram(), ...recipe, ...npm, ...guest)
}

async function buildBase(directory: string): Promise<void> {
  console.error('Building the virtual machine (once, about a minute)')
  const packages = await downloadPackages(join(CACHE, 'packages'))
  const tree = join(directory, 'tree')
  mkdirSync(tree)
  const version = await makeRootTree(tree, packages)
  copyFileSync(join(tree, `boot/vmlinuz-${version}`), join(directory, 'kernel'))
  writeFileSync(join(directory, 'initramfs'), initramfs(tree, version))
  await output(['mke2fs', '-q', ...EXT4, '-d', tree, join(directory, 'root.ext4'), '700M'])
  rmSync(tree, { recursive: true })
}

/** Only read, so without a journal. */
const EXT4 = ['-t', 'ext4', '-O', '^has_journal', '-m', '0', '-N', '40000']

const PROJECT = ['package.json', 'tsconfig.json', 'dist', 'integrations', 'test']

/** The package as `npm run build` made it, the integrations, and its tests. */
function projectArchive(): Buffer {
  return cpioArchive(PROJECT.flatMap((name) => entriesOf(join(REPOSITORY, name))))
}

function entriesOf(path: string): CpioEntry[] {
  const stats = statSync(path)
  if (stats.isDirectory()) {
    return readdirSync(path)
      .toSorted()
      .flatMap((name) => entriesOf(join(path, name)))
  }
  const place = `project/${relative(REPOSITORY, path)}`
  return [{ path: place, mode: stats.mode, data: readFileSync(path) }]
}

function sha256(...parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest('hex').slice(0, 16)
}
