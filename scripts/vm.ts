import { appendFileSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { usage, wholeNumber } from './harness/options.js'
import { runGuestTests } from './virtual-machine/guest-tests.js'
import { machineImages } from './virtual-machine/images.js'
import { openShell } from './virtual-machine/interactive.js'
import type { DiskSpec, MachineOptions, Udev } from './virtual-machine/machine.js'
import { CACHE } from './virtual-machine/paths.js'

const HELP = `A virtual machine with dm-crypt, cryptsetup, os-brick and volseal, under qemu's emulation.

Usage:
  scripts/vm test [driving|inside]      all tests that need it: those that drive it from here
                                        (test/vm), and those that run inside it (test/guest)
  scripts/vm run TESTFILES… [options]   run test files inside it (test/guest)
  scripts/vm shell [options]            a shell in it, to try volseal by hand
  scripts/vm build                      makes what it boots, which all of these do when it is missing
  scripts/vm clean                      remove what is cached: the next start builds it anew,
                                        with the newest packages

Options:
  --disk SIZE|FILE|FILE:SIZE   a disk, /dev/vdb and so on: blank and gone afterwards, or a file that
                               stays, made when it is not there (repeat for more)
  --udev running|stopped|absent
                               the device manager (run: absent, shell: running)
  --memory MIB                 1024 if not given
`

const { values, positionals } = readArgs()
const [command = '', ...files] = positionals
if (values.help === true) {
  process.stdout.write(HELP)
} else if (command === 'run' && files.length > 0) {
  await run()
} else if (command === 'shell' && files.length === 0) {
  await openShell(machineOptions('running'))
} else if (command === 'build' && files.length === 0) {
  await machineImages()
} else if (command === 'clean' && files.length === 0) {
  rmSync(CACHE, { recursive: true, force: true })
} else usage(HELP)

async function run(): Promise<void> {
  // One processor, so that other tests may run beside it: two would wait for each other's locks.
  const counts = await runGuestTests(files, { ...machineOptions('absent'), processors: 1 })
  const { passed, failed, skipped, failures } = counts
  const file = process.env['VOLSEAL_COUNTS']
  if (file !== undefined) {
    const names = failures.map((name) => `# ${name}\n`)
    appendFileSync(file, `${passed} ${failed} ${skipped}\n${names.join('')}`)
  }
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
}

function readArgs() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        disk: { type: 'string', multiple: true, default: [] },
        udev: { type: 'string' },
        memory: { type: 'string', default: '1024' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error))
  }
}

function machineOptions(udev: Udev): MachineOptions {
  return {
    disks: values.disk.map(diskSpec),
    udev: values.udev === undefined ? udev : udevOf(values.udev),
    memoryMiB: wholeNumber('--memory', values.memory, 256),
  }
}

function diskSpec(text: string): DiskSpec {
  if (/^\d+[KMG]?$/.test(text)) return text
  const [, path = text, size] = /^(.*):(\d+[KMG]?)$/.exec(text) ?? []
  return size === undefined ? { path } : { path, size }
}

function udevOf(text: string): Udev {
  if (text === 'running' || text === 'stopped' || text === 'absent') return text
  return usage(`--udev: expected running, stopped or absent, got ${text}`)
}
