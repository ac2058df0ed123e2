import { machineImages } from '../../scripts/virtual-machine/images.js'

/** Builds the virtual machine once, before the test files that run side by side would each do it. */
export async function setup(): Promise<void> {
  await machineImages()
}
