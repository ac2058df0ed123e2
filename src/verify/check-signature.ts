import type { KeyObject } from 'node:crypto'
import type { HashMethod } from '../core/algorithms.js'
import type { Certificate } from '../core/certificate.js'
import { readDsaSignature } from '../core/dsa-signature.js'
import { maxSaltLength } from '../core/emsa-pss.js'
import { VolsealError } from '../core/errors.js'
import type { ImageSignature } from '../core/image-signature.js'
import { besideLane, type Lane, localLane } from '../core/lane.js'
import { checkRsaPss, modulusBits } from '../core/rsa-pss.js'
import type { Judgement } from './check-certificate.js'
import type { Evidence } from './evidence.js'
import { pssHashes } from './recover.js'

/**
 * One pass over the image's bytes, however they come: it hands every piece to the consumer, in
 * order, and returns how many bytes there were.
 */
export type Pass = (consumer: (piece: Buffer) => Promise<void> | void) => Promise<number>

export interface SignatureFindings {
  /** Lower-case hex. */
  readonly digest: string
  /** Bytes. */
  readonly size: number
  readonly saltLength: number | null
  readonly judgements: readonly Judgement[]
  /** By the named hash, and by those that the signature shows instead. */
  readonly evidence: Evidence
}

/** Which RSA-PSS salts are accepted: only the longest, as strict clouds do, or any. */
export type SaltRule = 'max' | 'any'

/** Reads the image once and judges the signature; says nothing before the last byte. */
export async function checkSignature(
  pass: Pass,
  size: number | undefined,
  signature: ImageSignature,
  certificate: Certificate,
  salt: SaltRule,
): Promise<SignatureFindings> {
  return signature.keyType.family === 'rsa'
    ? await checkRsa(pass, size, signature, certificate, salt)
    : await checkDsa(pass, size, signature, certificate)
}

async function checkRsa(
  pass: Pass,
  knownSize: number | undefined,
  { hash, signature }: ImageSignature,
  { publicKey }: Certificate,
  salt: SaltRule,
): Promise<SignatureFindings> {
  const lane = localLane({ kind: 'hash', hash })
  const others: { readonly method: HashMethod; readonly lane: Lane }[] = []
  try {
    for (const method of otherHashes(publicKey, signature, hash)) {
      others.push({ method, lane: besideLane({ kind: 'hash', hash: method }, knownSize) })
    }
    const size = await pass(async (piece) => {
      const hashing = others.map(async (other) => {
        await other.lane.update(piece)
      })
      await lane.update(piece)
      await Promise.all(hashing)
    })
    const digest = await lane.finish()
    const digests = new Map([[hash.name, digest]])
    for (const other of others) digests.set(other.method.name, await other.lane.finish())
    const verdict = checkRsaPss(publicKey, digest, hash, signature)
    const longest = maxSaltLength(modulusBits(publicKey), hash)
    const saltLength = verdict.saltLength ?? null
    return {
      digest: digest.toString('hex'),
      size,
      saltLength,
      judgements: [
        judgeSignature(verdict.consistent),
        judgeSalt(verdict.consistent ? saltLength : null, longest, salt),
      ],
      evidence: { size, digests, fitsImage: () => false },
    }
  } finally {
    await Promise.all(others.map((other) => other.lane.close()))
  }
}

/**
 * The other hashes that the signature may be by, as its padding has it. Only the image's digest by such
 * a hash can say that it is by that one; where the salt is the longest, one padding in 128 fits by chance.
 */
function otherHashes(key: KeyObject, signature: Buffer, named: HashMethod): HashMethod[] {
  return pssHashes(signature, key).filter((hash) => hash !== named)
}

/** DSA and ECDSA: Verify on this thread, the digest beside it. */
async function checkDsa(
  pass: Pass,
  knownSize: number | undefined,
  { hash, signature }: ImageSignature,
  { publicKey }: Certificate,
): Promise<SignatureFindings> {
  const digestLane = besideLane({ kind: 'hash', hash }, knownSize)
  const verifyLane = localLane({ kind: 'verify', hash, key: publicKey })
  const raw = rawSignature(signature)
  const rawLane =
    raw === undefined ? undefined : localLane({ kind: 'verify', hash, key: publicKey })
  try {
    const size = await pass(async (piece) => {
      const hashing = digestLane.update(piece)
      await verifyLane.update(piece)
      await rawLane?.update(piece)
      await hashing
    })
    const valid = await isValid(verifyLane, signature)
    const fits = valid || (rawLane !== undefined && (await isValid(rawLane, raw)))
    const digest = await digestLane.finish()
    return {
      digest: digest.toString('hex'),
      size,
      saltLength: null,
      judgements: [judgeSignature(valid)],
      evidence: {
        size,
        digests: new Map([[hash.name, digest]]),
        fitsImage: (asked, by) => fits && by === hash && asked.equals(signature),
      },
    }
  } finally {
    await digestLane.close()
  }
}

/** What is no DER is refused, and yet tried as r and s: whoever made it so should be told. */
function rawSignature(signature: Buffer): Buffer | undefined {
  const read = readDsaSignature(signature)
  return read?.form === 'raw' ? read.der : undefined
}

async function isValid(lane: Lane, signature: Buffer | undefined): Promise<boolean> {
  const verdict = await lane.finish(signature)
  return verdict[0] === 1
}

function judgeSignature(valid: boolean): Judgement {
  const check = { name: 'signature', expected: 'a signature of these bytes by this key' } as const
  if (valid) return { check: { ...check, result: 'pass', found: 'valid' } }
  return {
    check: { ...check, result: 'fail', found: 'invalid' },
    // What there is to see in the signature is said by `tellRefusal`.
    refusal: new VolsealError(
      'signature-mismatch',
      'the image is not what was signed, or was signed by another key',
      { hint: 'do not use this image; fetch it again, and ask whoever signed it' },
    ),
  }
}

function judgeSalt(found: number | null, longest: number, rule: SaltRule): Judgement {
  const check = {
    name: 'salt-length',
    expected: rule === 'any' ? 'any' : String(longest),
    found: found === null ? null : String(found),
  } as const
  if (found === null) return { check: { ...check, result: 'skipped' } }
  if (rule === 'any' || found === longest) return { check: { ...check, result: 'pass' } }
  return {
    check: { ...check, result: 'fail' },
    refusal: new VolsealError(
      'signature-incompatible',
      `the signature is valid, but its salt is ${found} bytes long, not ${longest}`,
      {
        hint: 'OpenSSL >= 3.1 does so unless told -sigopt rsa_pss_saltlen:max; sign again, or accept it here with --salt any',
      },
    ),
  }
}
