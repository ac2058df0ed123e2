import { createPrivateKey, type KeyObject } from 'node:crypto'
import type forge from 'node-forge'
import type { Secret } from '../core/secret.js'
import { noKey, type PrivateKeyOptions } from './key-errors.js'

/**
 * The only importer of node-forge, which reads PKCS#12 and the old PEM encryptions, and does nothing
 * else: every key goes on as a KeyObject of node:crypto. It is loaded when such a key comes.
 */
export type Forge = typeof forge
export type Asn1 = forge.asn1.Asn1
export type Bag = forge.pkcs12.Bag

export async function loadForge(): Promise<Forge> {
  const { default: loaded } = await import('node-forge')
  return loaded
}

/** What forge has made of a structure, as DER. */
export function derOf({ asn1 }: Forge, structure: Asn1): Buffer {
  return Buffer.from(asn1.toDer(structure).getBytes(), 'latin1')
}

/** A key that forge has decrypted; its DER is wiped. */
export function keyOf(der: Buffer, type: 'pkcs1' | 'pkcs8', options: PrivateKeyOptions): KeyObject {
  try {
    return createPrivateKey({ key: der, format: 'der', type })
  } catch (error) {
    throw noKey(options, 'one that OpenSSL cannot read', error)
  } finally {
    der.fill(0)
  }
}

/**
 * forge takes passwords as strings only, which cannot be wiped: one character a byte for the old
 * PEM encryption, and text for PKCS#12, which makes UTF-16 of it.
 */
export function passphraseBytes({ passphrase }: { passphrase?: Secret | undefined }): string {
  return passphrase?.bytes().toString('latin1') ?? ''
}

export function passphraseText({ passphrase }: { passphrase?: Secret | undefined }): string {
  return passphrase?.bytes().toString('utf8') ?? ''
}

/** forge throws of whatever it cannot read. */
export function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}
