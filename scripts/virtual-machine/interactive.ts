import { once } from 'node:events'
import { usage } from '../harness/options.js'
import { DiskBench } from './disk-bench.js'
import { machineImages } from './images.js'
import type { MachineOptions } from './machine.js'
import { startQemu } from './qemu.js'

/** A shell in the machine, on this terminal, until it is left. */
export async function openShell({ disks, udev, memoryMiB }: MachineOptions): Promise<void> {
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    usage('scripts/vm shell needs a terminal; scripts/vm run does without')
  const { rows, columns } = process.stdout
  const images = await machineImages()
  await using bench = await DiskBench.of(disks ?? [])
  const {
    process: child,
    port,
    monitor,
  } = startQemu(images, {
    memoryMiB: memoryMiB ?? 1024,
    processors: 2,
    words: [
      'machine.shell',
      `machine.size=${Math.max(rows, 24)}x${Math.max(columns, 80)}`,
      `machine.udev=${udev ?? 'running'}`,
    ],
    diskSockets: bench.sockets,
    console: 'terminal',
  })
  port.resume()
  monitor.resume()
  // Ctrl-C is a character for the machine; qemu has set the terminal to that.
  process.on('SIGINT', () => undefined)
  process.once('SIGTERM', () => child.kill('SIGTERM'))
  await once(child, 'close')
  port.destroy()
  monitor.destroy()
}
