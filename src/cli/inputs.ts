import { readSmallFile } from '../core/byte-source.js'
import { json, record } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import { type ImageFacts, pickFacts } from '../core/image-facts.js'
import { pickProperties, type SignatureProperties } from '../core/image-signature.js'
import { Secret } from '../core/secret.js'
import type { Cli } from './cli.js'

/** Reading what options name: `-` is standard input. */

/** A passphrase out of a file, without the one newline that editors put at the end. */
export async function readPassphrase(
  { signal }: Cli,
  path: string | undefined,
): Promise<Secret | undefined> {
  if (path === undefined) return undefined
  return passphraseIn(await readSmallFile(path, 'passphrase file', signal), path)
}

/** A passphrase as its file holds it; the content is wiped. */
export function passphraseIn(content: Buffer, name: string): Secret {
  const passphrase = new Secret(Buffer.from(withoutNewline(content)))
  content.fill(0)
  if (passphrase.length > 0) return passphrase
  throw new VolsealError('usage', `${name}: expected a passphrase, got an empty file`)
}

/** The bytes without one final LF or CRLF; a view, not a copy. */
export function withoutNewline(content: Buffer): Buffer {
  if (content.at(-1) !== 0x0a) return content
  return content.subarray(0, content.at(-2) === 0x0d ? -2 : -1)
}

/** Runs `use` with the passphrase of a file, if one is named, and wipes it. */
export async function withPassphrase<T>(
  cli: Cli,
  path: string | undefined,
  use: (passphrase: Secret | undefined) => Promise<T>,
): Promise<T> {
  const passphrase = await readPassphrase(cli, path)
  try {
    return await use(passphrase)
  } finally {
    passphrase?.wipe()
  }
}

/** How errors call the file that an option names. */
export function labelOf(path: string | undefined): string | undefined {
  return path === '-' ? 'standard input' : path
}

export async function readOptional(
  { signal }: Cli,
  path: string | undefined,
  what: string,
): Promise<Buffer | undefined> {
  return path === undefined ? undefined : await readSmallFile(path, what, signal)
}

/** What a JSON file of any of the known shapes says of an image. */
export interface PropertiesFile {
  readonly properties: SignatureProperties
  readonly facts: ImageFacts
}

export async function readProperties({ signal }: Cli, path: string): Promise<PropertiesFile> {
  const content = await readSmallFile(path, 'properties file', signal)
  const object = record(json(content.toString('utf8'), path), path)
  return { properties: pickProperties(object), facts: pickFacts(object) }
}

/**
 * A signature file as the property's value: raw bytes as `openssl dgst -sign` writes them, or
 * base64 of any line length. Other text is handed on as it is, to be called by its name.
 */
export async function readSignature({ signal }: Cli, path: string): Promise<string> {
  const content = await readSmallFile(path, 'signature', signal)
  const text = content.toString('latin1').replaceAll(/\s/g, '')
  const isText = text !== '' && /^[!-~]+$/.test(text)
  return isText ? text : content.toString('base64')
}

/** The name of a file to make. @throws {VolsealError} `usage` for `-`, which means standard output */
export function fileName(path: string, option: string): string {
  if (path !== '-') return path
  throw new VolsealError('usage', `${option}: expected a file name, got - (standard output)`, {
    hint: 'a file of that name is ./-',
  })
}

/** `KEY=VALUE` options as an object. @throws {VolsealError} `usage` */
export function keyValues(pairs: readonly string[], option: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)]
      throw new VolsealError('usage', `${option}: expected KEY=VALUE, got ${JSON.stringify(pair)}`)
    }),
  )
}
