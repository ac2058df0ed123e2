import { type ImageReader, type Inspected, refused, unsafe } from './report.js'
import { readStructure } from './structure.js'
import { inspectSparseVmdk, SPARSE_MAGIC } from './vmdk-sparse.js'

/** Magic of an ESX copy-on-write extent (vmfsSparse). */
const COWD_MAGIC = 'COWD'

/** QEMU looks at no more to find out what a file is; a descriptor starts with far less comment. */
const DESCRIPTOR_PROBE_BYTES = 4096

/** Inspects a VMDK: a sparse extent with its descriptor, or what is refused for being less. */
export async function inspectVmdk(image: ImageReader): Promise<Inspected> {
  const magic = (await readStructure(image, 0, 4, 'VMDK magic')).toString('latin1')
  if (magic === SPARSE_MAGIC) return await inspectSparseVmdk(image)
  return magic === COWD_MAGIC ? copyOnWriteExtent() : descriptorFile()
}

function copyOnWriteExtent(): Inspected {
  const message =
    'the image is an ESX copy-on-write extent (COWD), which is only one part of a disk and may name a parent file'
  return refused([unsafe('unsupported-subformat', message)], { subformat: 'vmfsSparse' })
}

function descriptorFile(): Inspected {
  const message =
    'the image is only a VMDK descriptor, so its content is in other files of the host, which opening it reads'
  return refused([unsafe('names-other-files', message)])
}

/** Whether the bytes start a VMDK of any kind. */
export function isVmdk(start: Buffer): boolean {
  const magic = start.toString('latin1', 0, 4)
  return magic === SPARSE_MAGIC || magic === COWD_MAGIC || startsDescriptor(start)
}

/**
 * Whether the bytes start a descriptor that stands alone: as QEMU decides (vmdk_probe), comments
 * and blank lines and then `version=`, or as VMware writes, `# Disk DescriptorFile` first.
 */
function startsDescriptor(start: Buffer): boolean {
  const text = start.toString('latin1', 0, DESCRIPTOR_PROBE_BYTES)
  if (/^# *Disk *DescriptorFile/i.test(text)) return true
  const line = text.split('\n').find((each) => !/^\s*(?:#|$)/.test(each))
  return line !== undefined && /^\s*version=[1-3]\r?$/.test(line)
}
