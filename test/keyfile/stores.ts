import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { Secret } from '../../src/core/secret.js'
import {
  type LocalKeyManager,
  type NewSecret,
  openLocalKeyManager,
  type StoreKeySource,
} from '../../src/keyfile/index.js'

/** Bigger runs of everything that repeats. */
export const LONG: boolean = process.env['VOLSEAL_LONG'] === '1'

/** Where one store lies and what opens it. */
export interface StoreAt {
  readonly store: string
  readonly key: StoreKeySource
}

/** A store's place in a directory of its own, with a key file. */
export interface Place extends StoreAt {
  readonly directory: string
  readonly key: StoreKeySource & { kind: 'file' }
}

/** A directory that is removed when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'volseal-keyfile-'))
  onTestFinished(async () => await rm(path, { recursive: true, force: true }))
  return path
}

/** A place for a store, not made yet, with a key file beside it. */
export async function newPlace(): Promise<Place> {
  const directory = await temporaryDirectory()
  return { directory, store: join(directory, 'keys'), key: keyFile(directory, 'key') }
}

export function keyFile(directory: string, name: string): StoreKeySource & { kind: 'file' } {
  return { kind: 'file', path: join(directory, name) }
}

/** A random key as a source; opening with it costs nothing, unlike with a passphrase. */
export function rawKey(): StoreKeySource {
  return { kind: 'key', key: new Secret(randomBytes(32)) }
}

export function passphrase(text: string): StoreKeySource {
  return { kind: 'passphrase', passphrase: new Secret(Buffer.from(text)) }
}

/** Opens a store, and closes it when the test ends. */
export async function open(at: StoreAt): Promise<LocalKeyManager> {
  const manager = await openLocalKeyManager(at)
  onTestFinished(() => manager.close())
  return manager
}

export function opaque(content: string): NewSecret {
  return { type: 'opaque', payload: new Secret(Buffer.from(content)) }
}

/** The secret's bytes as text. */
export async function payloadOf(manager: LocalKeyManager, id: string): Promise<string> {
  return (await manager.get(id)).payload.bytes().toString()
}

export function secretFile(store: string, id: string): string {
  return join(store, `${id}.json`)
}

/** Makes a FIFO that everybody may use. */
export function makeFifo(path: string): void {
  execFileSync('/usr/bin/mkfifo', ['-m', '666', path])
}

/** All names in the store that are neither store.json nor a secret file. */
export function strayFiles(store: string): string[] {
  return readdirSync(store).filter((name) => !name.endsWith('.json'))
}

export function contentsOf(directory: string): Map<string, Buffer> {
  const names = readdirSync(directory).toSorted()
  return new Map(names.map((name) => [name, readFileSync(join(directory, name))]))
}
