import { type ImageFormat, type Inspected, refused, unsafe } from './report.js'

/** A format that QEMU would open, but that no cloud takes. */
interface RefusedFormat {
  readonly format: ImageFormat
  /** How people call it. */
  readonly name: string
  /** What an image of it starts with, in latin1: one of these. */
  readonly magics: readonly string[]
}

/** Recognised so that QEMU is never left to find them in what was taken for a raw disk. */
export const REFUSED_FORMATS: readonly RefusedFormat[] = [
  { format: 'qcow', name: 'qcow version 1', magics: ['QFI\xfb\0\0\0\x01'] },
  { format: 'qed', name: 'QED', magics: ['QED\0'] },
  {
    format: 'parallels',
    name: 'Parallels (ploop)',
    magics: ['WithoutFreeSpace', 'WithouFreSpacExt'],
  },
  { format: 'bochs', name: 'Bochs', magics: ['Bochs Virtual HD Image'] },
  { format: 'cloop', name: 'compressed loop', magics: ['#!/bin/sh\n#V2.0 Format\nmodprobe cloop'] },
]

/** Whether the bytes start an image of the format. */
export function startsFormat(row: RefusedFormat, start: Buffer): boolean {
  return row.magics.some((magic) => start.toString('latin1', 0, magic.length) === magic)
}

/** All that is said of an image in such a format. */
export function refusedFormat({ name }: RefusedFormat): Inspected {
  const message = `the image is in the format ${name}, which nobody here can check and which no volume is written from`
  return refused([unsafe('unsupported-format', message)])
}
