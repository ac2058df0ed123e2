import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type CpioEntry, cpioArchive, padded } from './cpio.js'
import { firstProgram } from './guest-files.js'

/** What it takes to read the root image and to talk to the host; the rest is loaded on demand. */
const FIRST_MODULES = ['virtio_pci', 'virtio_blk', 'virtio_console', 'overlay']

const EXECUTABLE = 0o100755
const FILE = 0o100644
const DIRECTORY = 0o040755
const MOUNT_POINTS = ['proc', 'sys', 'dev', 'lower', 'upper', 'root', 'project']

/** The initial memory file system: busybox, a few modules, and the first program. */
export function initramfs(tree: string, kernelVersion: string): Buffer {
  const folder = join(tree, 'usr/lib/modules', kernelVersion)
  const modules = withDependencies(folder)
  const order = modules.map((path) => `${basename(path)}\n`).join('')
  const entries: CpioEntry[] = [
    ...MOUNT_POINTS.map((path) => ({ path, mode: DIRECTORY })),
    { path: 'init', mode: EXECUTABLE, data: firstProgram() },
    { path: 'bin/busybox', mode: EXECUTABLE, data: readFileSync(join(tree, 'usr/bin/busybox')) },
    { path: 'modules/order', mode: FILE, data: Buffer.from(order) },
    ...modules.map((path) => ({
      path: `modules/${basename(path)}`,
      mode: FILE,
      data: readFileSync(join(folder, path)),
    })),
  ]
  // The kernel finds another archive behind this one only at such a place.
  return padded(gzipSync(cpioArchive(entries), { level: 1 }), 4)
}

/** The modules' files in the order of loading, by modules.dep (`file: what it needs, last first`). */
function withDependencies(folder: string): string[] {
  const lines = readFileSync(join(folder, 'modules.dep'), 'utf8').trim().split('\n')
  const needs = new Map(
    lines.map((line): [string, string[]] => {
      const [path = '', ...others] = line.split(/:? /)
      return [path.replace(/:$/, ''), others]
    }),
  )
  const paths = [...needs.keys()]
  const wanted = FIRST_MODULES.flatMap((name) => {
    const path = paths.find((candidate) => basename(candidate, '.ko') === name)
    if (path === undefined) throw new Error(`the kernel has no module ${name}`)
    return [...(needs.get(path) ?? []).toReversed(), path]
  })
  return [...new Set(wanted)]
}
