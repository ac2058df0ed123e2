import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { poke } from './volumes.js'

/**
 * Changes a LUKS2 header as somebody would who can write to the storage: the checksum is right
 * afterwards. Written from the format's description, without the code that it tests.
 */
export interface Luks2Edit {
  /** New values by their place, such as `segments.0.encryption`; undefined removes one. */
  readonly json?: Readonly<Record<string, unknown>>
  /** Changes the JSON's text instead. */
  readonly text?: (text: string) => string | Buffer
  /** Changes the binary header. */
  readonly binary?: (binary: Buffer) => unknown
  /** Both when not given. */
  readonly copy?: 'first' | 'second'
}

const BINARY = 4096
const CHECKSUM_AT = 448

export function editLuks2(path: string, edit: Luks2Edit): void {
  const bytes = readFileSync(path)
  const size = Number(bytes.readBigUInt64BE(8))
  for (const [copy, offset] of [
    ['first', 0],
    ['second', size],
  ] as const) {
    if ((edit.copy ?? copy) !== copy) continue
    poke(path, offset, edited(bytes.subarray(offset, offset + size), bytes.subarray(offset), edit))
  }
}

function edited(copy: Buffer, onwards: Buffer, { json, text, binary }: Luks2Edit): Buffer {
  const area = copy.subarray(BINARY)
  const source = area.subarray(0, area.indexOf(0)).toString()
  if (json !== undefined) fill(area, JSON.stringify(changed(JSON.parse(source), json)))
  if (text !== undefined) fill(area, text(source))
  binary?.(copy)
  // One that says that it is longer has a checksum over more; it covers what follows.
  const size = Math.min(Number(copy.readBigUInt64BE(8)), onwards.length)
  copy.fill(0, CHECKSUM_AT, CHECKSUM_AT + 64)
  const sum = createHash('sha256').update(onwards.subarray(0, size)).digest()
  sum.copy(copy, CHECKSUM_AT)
  return copy
}

function fill(area: Buffer, content: string | Buffer): void {
  area.fill(0)
  if (content.length > area.length) throw new Error('it does not fit')
  area.set(typeof content === 'string' ? Buffer.from(content) : content)
}

function changed(json: unknown, changes: Readonly<Record<string, unknown>>): unknown {
  for (const [place, value] of Object.entries(changes)) set(json, place.split('.'), value)
  return json
}

function set(target: unknown, [name = '', ...rest]: readonly string[], value: unknown): void {
  if (typeof target !== 'object' || target === null) throw new Error(`there is no ${name}`)
  if (rest.length > 0) return set(Reflect.get(target, name), rest, value)
  if (value === undefined) Reflect.deleteProperty(target, name)
  else Reflect.set(target, name, value)
}

/** Writes another value into a field of the binary header. */
export const field = {
  sequence: (value: bigint) => (binary: Buffer) => binary.writeBigUInt64BE(value, 16),
  size: (value: bigint) => (binary: Buffer) => binary.writeBigUInt64BE(value, 8),
  label: (value: string) => (binary: Buffer) => binary.fill(0, 24, 72).write(value, 24),
  uuid: (value: string) => (binary: Buffer) => binary.fill(0, 168, 208).write(value, 168),
}
