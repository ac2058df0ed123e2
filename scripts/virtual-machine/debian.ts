import { mkdirSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ENVIRONMENT, output } from '../harness/program.js'

/** What the machine consists of; what these depend on comes along. */
const PACKAGES: readonly string[] = [
  'linux-image-cloud-amd64',
  'busybox-static',
  'bash',
  'coreutils',
  'cryptsetup-bin',
  'dmsetup',
  'e2fsprogs',
  'findutils',
  'grep',
  'kmod',
  'libc-bin',
  'libstdc++6', // for node
  'mount',
  'openssl',
  'procps',
  'python3-os-brick',
  'qemu-utils',
  'tar',
  'udev',
  'util-linux',
]

/** Nothing in the machine reads these: a third of the size. */
const LEFT_OUT: readonly string[] = [
  './boot/System.map*',
  './usr/lib/x86_64-linux-gnu/perl*',
  './usr/lib/x86_64-linux-gnu/libperl*',
  './usr/lib/python3/dist-packages/babel/locale-data/*',
  './usr/share/doc/*',
  './usr/share/javascript/*',
  './usr/share/locale/*',
  './usr/share/man/*',
  './usr/share/perl/*',
  './usr/share/python-babel-localedata/*',
  './lib/modules/*/kernel/drivers/gpu/*',
  './lib/modules/*/kernel/drivers/infiniband/*',
  './lib/modules/*/kernel/drivers/net/*',
  './lib/modules/*/kernel/net/*',
]

/**
 * Downloads the packages as if for a machine on which nothing is installed: apt checks their
 * signatures as always, and nothing on this machine changes, so that it needs no root.
 */
export async function downloadPackages(directory: string): Promise<string[]> {
  mkdirSync(join(directory, 'partial'), { recursive: true })
  const options = {
    'Dir::State::status': '/dev/null',
    'Dir::Cache::archives': directory,
    'Debug::NoLocking': '1',
    // apt would otherwise turn into a user who may not write to the directory.
    'APT::Sandbox::User': 'root',
  }
  await output([
    'apt-get',
    ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    '-qq',
    '-y',
    '--no-install-recommends',
    '--download-only',
    'install',
    ...PACKAGES,
  ])
  return readdirSync(directory)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => join(directory, name))
}

const UNPACK = `
set -eu -o pipefail
root=$1
shift
exclude=()
while [ "$1" != -- ]; do exclude+=("--exclude=$1"); shift; done
shift
for package in "$@"; do
  dpkg-deb --fsys-tarfile "$package" |
    tar -x --no-same-owner --keep-directory-symlink "\${exclude[@]}" -C "$root"
done
`

/** Unpacks packages, without installing them: their scripts do not run. */
export async function unpackPackages(packages: readonly string[], root: string): Promise<void> {
  const workers = availableParallelism()
  const shares = Array.from({ length: workers }, (_, worker) =>
    packages.filter((_name, index) => index % workers === worker),
  )
  await Promise.all(
    shares.map(async (share) => {
      await output(['bash', '-c', UNPACK, 'unpack', root, ...LEFT_OUT, '--', ...share])
    }),
  )
}

export interface RunFromOptions {
  /** What the program is called as, where that decides what it does. */
  readonly name?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs a program of an unpacked tree with the tree's own libraries, without root and chroot. */
export async function runFrom(
  tree: string,
  program: string,
  args: readonly string[],
  { name = program, env = {} }: RunFromOptions = {},
): Promise<void> {
  const loader = join(tree, 'usr/lib64/ld-linux-x86-64.so.2')
  const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib'].map((path) => join(tree, path))
  const call = ['--argv0', name, '--library-path', libraries.join(':'), join(tree, program)]
  await output([loader, ...call, ...args], { env: { ...ENVIRONMENT, ...env } })
}
