import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLI, ENVIRONMENT, REPOSITORY } from '../harness/program.js'

/** A user's machine in a directory: a home, volseal on the PATH and in node_modules, an image. */
export interface Workshop {
  /** Where all of it lies. */
  readonly place: string
  /** Where the examples run. */
  readonly directory: string
  readonly env: NodeJS.ProcessEnv
}

/** A CD-ROM that is a bootable disk as well; of Debian's grub-rescue-pc. */
const BOOTABLE = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso'
const IMAGES = ['image.iso', 'disk.raw']

export async function openWorkshop(place: string): Promise<Workshop> {
  const directory = join(place, 'work')
  const home = join(place, 'home')
  const bin = join(place, 'bin')
  for (const path of [directory, home, bin, join(home, 'tmp')])
    await mkdir(path, { recursive: true })
  await installCommand(join(bin, 'volseal'))
  await installPackages(join(place, 'node_modules'))
  await writeFile(join(place, 'package.json'), '{ "type": "module" }\n')
  for (const name of IMAGES) await putImage(join(directory, name))
  return { place, directory, env: environment(home, bin) }
}

async function installCommand(path: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`, { mode: 0o755 })
}

/** volseal as if it were installed: only what its package.json exports can be imported. */
async function installPackages(modules: string): Promise<void> {
  await mkdir(join(modules, '@types'), { recursive: true })
  await symlink(REPOSITORY, join(modules, 'volseal'))
  await symlink(`${REPOSITORY}node_modules/@types/node`, join(modules, '@types/node'))
}

async function putImage(path: string): Promise<void> {
  await copyFile(BOOTABLE, path).catch(async () => {
    await writeFile(path, bootableBytes())
  })
}

/** A disk with a boot sector that the disk image tools take, and nothing else. */
function bootableBytes(): Buffer {
  const bytes = Buffer.alloc(4 * 1024 * 1024)
  bytes.writeUInt16BE(0x55aa, 510)
  return bytes
}

/** Nothing of this user's own settings, volumes and clouds gets in. */
function environment(home: string, bin: string): NodeJS.ProcessEnv {
  const { PATH, LC_ALL } = ENVIRONMENT
  return {
    PATH: `${bin}:${PATH ?? ''}`,
    LC_ALL,
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    XDG_DATA_HOME: join(home, '.local/share'),
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_STATE_HOME: join(home, '.local/state'),
    XDG_CACHE_HOME: join(home, '.cache'),
  }
}
