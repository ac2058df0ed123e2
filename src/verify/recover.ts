import { createHash, type KeyObject } from 'node:crypto'
import { HASH_METHODS, type HashMethod } from '../core/algorithms.js'
import { readDsaSignature } from '../core/dsa-signature.js'
import {
  type HashFacts,
  isPssOf,
  type PssContent,
  type PssHashes,
  readPss,
} from '../core/emsa-pss.js'
import { readPkcs1 } from '../core/pkcs1-padding.js'
import { modulusBits, openSignature, pssPart } from '../core/rsa-pss.js'
import { type Evidence, isWhole, signsBytes } from './evidence.js'

/** Of what a signature turned out to be one. */
export type Signed =
  | 'image'
  /** The image's digest, which was hashed once more. */
  | 'digest'
  /** Something else, by this key. */
  | 'other'
  /** That cannot be told: it may be by another key, or by a hash that the image's is not known by. */
  | 'unknown'

/** What a signature says of itself when it is opened with the certificate's key. */
export interface Recovered {
  readonly encoding: 'pss' | 'pkcs1-v1.5' | 'der' | 'raw' | 'unknown'
  readonly signed: Signed
  /** OpenSSL's name of the message's hash; null where it cannot be told. */
  readonly hash: string | null
  /** The hash of MGF1; PSS only. */
  readonly mgfHash: string | null
  /** Bytes of salt; PSS only. */
  readonly saltLength: number | null
}

const UNKNOWN: Recovered = {
  encoding: 'unknown',
  signed: 'unknown',
  hash: null,
  mgfHash: null,
  saltLength: null,
}

/** Recovers padding, hash and salt out of a signature; `named` is the hash that it should have. */
export function recoverSignature(
  signature: Buffer,
  key: KeyObject,
  evidence: Evidence,
  named: HashMethod | undefined,
): Recovered {
  const type = key.asymmetricKeyType
  if (type === 'ec' || type === 'dsa') return recoverDsa(signature, key, evidence)
  if (type !== 'rsa' && type !== 'rsa-pss') return UNKNOWN
  const padded = openSignature(key, signature)
  if (padded === undefined) return UNKNOWN
  return recoverPss(padded, key, evidence, named) ?? recoverPkcs1(padded, evidence) ?? UNKNOWN
}

/** Whether that is what the services verify: PSS with one hash, or DER, of the image. */
export function isSignatureOfImage(found: Recovered, named: HashMethod | undefined): boolean {
  const isEncoded = found.encoding === 'pss' || found.encoding === 'der'
  const isOneHash = found.mgfHash === null || found.mgfHash === found.hash
  return isEncoded && isOneHash && found.signed === 'image' && found.hash === named?.node
}

/** SHA-1 as well: it is what Java and others mask with when they are told nothing. */
const MASK_HASHES: readonly HashFacts[] = [...HASH_METHODS, { node: 'sha1', length: 20 }]

/** The hashes that a signature may be one by, as its padding has it; with little padding, some by chance. */
export function pssHashes(signature: Buffer, key: KeyObject): HashMethod[] {
  const padded = openSignature(key, signature)
  const bits = modulusBits(key)
  const em = padded === undefined ? undefined : pssPart(padded, bits)
  if (em === undefined) return []
  return HASH_METHODS.filter((hash) => !('fault' in readPss(em, bits, { hash, mgf: hash })))
}

interface Reading extends PssHashes {
  readonly hash: HashMethod
  readonly content: PssContent
}

/** Every pair of hashes is tried: the padding shows which one it was, the digest proves it. */
function recoverPss(
  padded: Buffer,
  key: KeyObject,
  evidence: Evidence,
  named: HashMethod | undefined,
): Recovered | undefined {
  const bits = modulusBits(key)
  const em = pssPart(padded, bits)
  if (em === undefined) return undefined
  const readings = HASH_METHODS.flatMap((hash) =>
    MASK_HASHES.flatMap((mgf): Reading[] => {
      const content = readPss(em, bits, { hash, mgf })
      return 'fault' in content ? [] : [{ hash, mgf, content }]
    }),
  )
  const ofImage = readings.find((reading) => isOf(reading, digestOf(evidence, reading.hash)))
  if (ofImage !== undefined) return describe(ofImage, 'image')
  const ofDigest = readings.find((reading) =>
    hashedTwice(evidence, reading.hash).some((digest) => isOf(reading, digest)),
  )
  if (ofDigest !== undefined) return describe(ofDigest, 'digest')
  return likelyReading(readings, named, evidence)
}

/**
 * Which reading it is when none is of the image. With the longest salt there is little padding to go
 * by, so that one in a hundred wrong ones is read: the one with much padding is believed, and of
 * several with little the one by the named hash.
 */
function likelyReading(
  readings: readonly Reading[],
  named: HashMethod | undefined,
  evidence: Evidence,
): Recovered | undefined {
  if (readings.length === 0) return undefined
  const usual = readings.filter(({ hash, mgf }) => hash === mgf)
  const shortest = usual.toSorted((one, other) => freeBytes(one) - freeBytes(other))
  const [first, second] = shortest
  const isPlain =
    first !== undefined && (second === undefined || freeBytes(second) - freeBytes(first) >= SURE)
  const likely = isPlain ? first : usual.find(({ hash }) => hash === named)
  if (likely === undefined) {
    return { ...UNKNOWN, encoding: 'pss', signed: isWhole(evidence) ? 'other' : 'unknown' }
  }
  return describe(likely, digestOf(evidence, likely.hash) === undefined ? 'unknown' : 'other')
}

/** Bytes that may be anything: all others of the block are zeros, a one and the end mark (RFC 8017 §9.1.1). */
function freeBytes({ content, hash }: Reading): number {
  return hash.length + content.salt.length
}

/** So many zeros more than another reading has are no chance. */
const SURE = 8

function isOf({ content, hash }: Reading, digest: Buffer | undefined): boolean {
  return digest !== undefined && isPssOf(content, digest, hash)
}

function describe({ hash, mgf, content }: Reading, signed: Signed): Recovered {
  const saltLength = content.salt.length
  return { encoding: 'pss', signed, hash: hash.node, mgfHash: mgf.node, saltLength }
}

function recoverPkcs1(padded: Buffer, evidence: Evidence): Recovered | undefined {
  const found = readPkcs1(padded)
  if (found === undefined) return undefined
  const method = HASH_METHODS.find(({ node }) => node === found.hash)
  const digest = method === undefined ? undefined : digestOf(evidence, method)
  const other = method !== undefined && digest === undefined ? 'unknown' : 'other'
  const signed = digest?.equals(found.digest) === true ? 'image' : other
  return { ...UNKNOWN, encoding: 'pkcs1-v1.5', signed, hash: found.hash }
}

function recoverDsa(signature: Buffer, key: KeyObject, evidence: Evidence): Recovered {
  const read = readDsaSignature(signature)
  if (read === undefined) return UNKNOWN
  const found = { ...UNKNOWN, encoding: read.form }
  const ofImage = HASH_METHODS.find((hash) => evidence.fitsImage(signature, hash))
  if (ofImage !== undefined) return { ...found, signed: 'image', hash: ofImage.node }
  const ofDigest = HASH_METHODS.find((hash) =>
    messagesOf(evidence, hash).some((bytes) => signsBytes(bytes, { signature, key, hash })),
  )
  return ofDigest === undefined ? found : { ...found, signed: 'digest', hash: ofDigest.node }
}

function digestOf({ digests }: Evidence, { name }: HashMethod): Buffer | undefined {
  return digests.get(name)
}

/** A digest as it is handed on by mistake: its bytes, its hex text, and that with a newline. */
function messagesOf(evidence: Evidence, hash: HashMethod): Buffer[] {
  const digest = digestOf(evidence, hash)
  if (digest === undefined) return []
  const hex = digest.toString('hex')
  return [digest, Buffer.from(hex), Buffer.from(`${hex}\n`)]
}

function hashedTwice(evidence: Evidence, hash: HashMethod): Buffer[] {
  return messagesOf(evidence, hash).map((bytes) => createHash(hash.node).update(bytes).digest())
}
