import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { output } from '../harness/program.js'
import { runFrom, unpackPackages } from './debian.js'
import { guestFiles } from './guest-files.js'
import { npmClosure } from './npm-closure.js'
import { REPOSITORY } from './paths.js'

/** Fills a directory with the machine's root file system, and returns its kernel's version. */
export async function makeRootTree(tree: string, packages: readonly string[]): Promise<string> {
  mergeUsr(tree)
  await unpackPackages(packages, tree)
  addSystemFiles(tree)
  await addBusybox(tree)
  await addNode(tree)
  for (const path of npmClosure()) addPackage(path, tree)
  for (const { path, data, mode } of guestFiles()) {
    put(join(tree, path), data)
    chmodSync(join(tree, path), mode)
  }
  const version = readdirSync(join(tree, 'usr/lib/modules'))[0] ?? ''
  // What the packages' own scripts would do.
  await runFrom(tree, 'usr/bin/kmod', ['-b', tree, version], { name: 'depmod' })
  await compilePython(tree)
  return version
}

/** As Debian has it: /bin and the like are links into /usr. */
function mergeUsr(tree: string): void {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(tree, 'usr', name), { recursive: true })
    symlinkSync(`usr/${name}`, join(tree, name))
  }
}

const ACCOUNTS =
  'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n'
/** Those that udev's rules name. */
const GROUPS = ['root', 'tty', 'disk', 'lp', 'kmem', 'dialout', 'cdrom', 'tape', 'audio', 'video']

function addSystemFiles(tree: string): void {
  put(join(tree, 'etc/passwd'), ACCOUNTS)
  const groups = GROUPS.map((name, index) => `${name}:x:${index}:\n`).join('')
  put(join(tree, 'etc/group'), `${groups}nogroup:x:65534:\n`)
  for (const name of ['root', 'proc', 'sys', 'dev', 'run', 'tmp', 'opt/volseal']) {
    mkdirSync(join(tree, name), { recursive: true })
  }
  symlinkSync('../bin/busybox', join(tree, 'usr/sbin/init'))
  mkdirSync(join(tree, 'usr/local/bin'), { recursive: true })
  symlinkSync('/opt/volseal/dist/cli/main.js', join(tree, 'usr/local/bin/volseal'))
}

/** What no package brought is one of busybox's: vi, less, ping and others. */
async function addBusybox(tree: string): Promise<void> {
  const present = new Set(['bin', 'sbin'].flatMap((name) => readdirSync(join(tree, 'usr', name))))
  const names = (await output([join(tree, 'usr/bin/busybox'), '--list']))
    .toString()
    .trim()
    .split('\n')
  for (const name of names) {
    if (!present.has(name)) symlinkSync('busybox', join(tree, 'usr/bin', name))
  }
}

/** The node that runs this, with those of its libraries that no package brought. */
async function addNode(tree: string): Promise<void> {
  copyFileSync(process.execPath, join(tree, 'usr/bin/node'))
  const libraries = (await output(['ldd', process.execPath])).toString().matchAll(/=> (\/\S+)/g)
  for (const [, path = ''] of libraries) {
    const place = join(tree, path.replace(/^\/lib/, '/usr/lib'))
    mkdirSync(dirname(place), { recursive: true })
    cpSync(path, place, { dereference: true, force: false })
  }
}

/** A folder of node_modules, without the packages inside it: those that are needed come by name. */
function addPackage(path: string, tree: string): void {
  const from = join(REPOSITORY, path)
  const inner = join(from, 'node_modules')
  cpSync(from, join(tree, 'opt/volseal', path), {
    recursive: true,
    filter: (source) => source !== inner && !source.endsWith('.map'),
  })
}

/**
 * As python3's package scripts do; without it the emulated machine would compile every module that
 * it imports, at each start.
 */
async function compilePython(tree: string): Promise<void> {
  const folders = ['usr/lib/python3.11', 'usr/lib/python3/dist-packages']
  const mode = ['--invalidation-mode', 'unchecked-hash', '-s', tree, '-p', '/']
  const args = ['-m', 'compileall', '-q', '-j', '0', ...mode, ...folders.map((f) => join(tree, f))]
  await runFrom(tree, 'usr/bin/python3.11', args, { env: { PYTHONHOME: join(tree, 'usr') } })
}

function put(path: string, data: Buffer | string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, data)
}
