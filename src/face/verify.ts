import { type ByteSource, openSource, passOver } from '../core/byte-source.js'
import { readCertificate } from '../core/certificate.js'
import { isUuid } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import { type ImageSignature, parseSignature } from '../core/image-signature.js'
import { type Profile, profileOf } from '../core/profiles.js'
import type { SecretSource } from '../keyfile/index.js'
import {
  type NamedCertificate,
  type Pass,
  readOrUnchecked,
  type Trust,
  type VerifyPlan,
  type VerifyReport,
  verifyPass,
} from '../verify/index.js'
import { certificateFromKeyManager } from './certificates.js'
import { type JudgeImage, judgeAndExplain } from './explain.js'
import type { JudgeOptions, VerifyOptions } from './judge-options.js'
import { withReport } from './refusal.js'

/**
 * Verifies an image as nova, cinder and glance do, in one pass and constant memory, and stricter:
 * the key must be what the key type says, the certificate valid and vouched for, the salt one that
 * every cloud accepts.
 *
 * @returns the report of an accepted image
 * @throws {ImageRefused} for every other verdict, `unsigned`, `signature-malformed` and `unchecked`
 * among them; `report` says all that was found
 * @throws {VolsealError} `usage`, `interrupted`
 *
 * @example
 * const report = await verifyImage({ image: 'disk.raw', properties, certificate })
 */
export async function verifyImage(options: VerifyOptions): Promise<VerifyReport> {
  const name = typeof options.image === 'string' ? options.image : 'the image'
  return await withReport(name, options, async () => {
    // To explain, a plan that fails must not be the end: it is made within.
    const plan = options.explain === true ? undefined : await planVerification(options)
    const source = await readOrUnchecked(async () => await openSource(options.image, 'image'))
    try {
      if (plan === undefined) return await judgeAndExplain(options, source, planAndVerify(source))
      const pass: Pass = async (consumer) => await passOver(source, consumer, options)
      return await verifyWhole(source, pass, plan)
    } finally {
      await source.close()
    }
  })
}

async function verifyWhole(
  { name, size }: ByteSource,
  pass: Pass,
  plan: Plan,
): Promise<VerifyReport> {
  return await verifyPass(pass, size, { ...plan, image: name, refuseEarly: false })
}

function planAndVerify(source: ByteSource): JudgeImage {
  return async (options, pass) =>
    await withReport(source.name, options, async () => {
      return await verifyWhole(source, pass, await planVerification(options))
    })
}

type Plan = Omit<VerifyPlan, 'image' | 'refuseEarly'>

/** Parses the signature and finds its certificate: all that is needed before the image is read. */
export async function planVerification(options: JudgeOptions): Promise<Plan> {
  const profile = profileOf(options.profile)
  refuseTrustInVain(options, profile)
  const certificateKnown = options.certificate !== undefined || options.certificateId !== undefined
  const signature = parseSignature(options.properties, { certificateKnown, profile })
  const certificate = await readOrUnchecked(
    async () => await nameCertificate(options, signature, profile),
  )
  return { signature, certificate, profile, salt: options.salt ?? 'max', at: options.at }
}

/** Whoever says what is trusted must not be answered by a profile that asks nobody. */
function refuseTrustInVain({ trusted = [] }: JudgeOptions, { name, trust }: Profile): void {
  if (trust || trusted.length === 0) return
  throw new VolsealError('usage', `the profile ${name} asks nobody who vouches for a certificate`, {
    hint: 'leave out the trusted certificates, or use the profile strict',
  })
}

async function nameCertificate(
  options: JudgeOptions,
  signature: ImageSignature,
  profile: Profile,
): Promise<NamedCertificate> {
  const vouched: Trust = profile.trust ? 'pinned' : 'none'
  if (options.certificate !== undefined) {
    const certificate = readCertificate(options.certificate, 'the certificate', profile)
    return { certificate, trust: vouched, id: signature.certificateId ?? null }
  }
  const id = options.certificateId ?? idOfProperty(signature.certificateId ?? '')
  const keyManager = requireKeyManager(options, id)
  const certificate = await certificateFromKeyManager(keyManager, id, profile)
  const pinned = options.certificateId !== undefined || isTrusted(certificate.fingerprint, options)
  return { certificate, trust: pinned ? vouched : 'none', id }
}

function isTrusted(fingerprint: string, { trusted = [] }: JudgeOptions): boolean {
  return trusted.some(
    (content) => readCertificate(content, 'a trusted certificate').fingerprint === fingerprint,
  )
}

/** Barbican takes a URL as well, and uses its last part only. */
function idOfProperty(value: string): string {
  const id = value.slice(value.lastIndexOf('/') + 1)
  if (isUuid(id)) return id
  throw new VolsealError(
    'signature-malformed',
    `img_signature_certificate_uuid: expected a version-4 UUID, got ${JSON.stringify(value.slice(0, 80))}`,
  )
}

function requireKeyManager({ keyManager }: JudgeOptions, id: string): SecretSource {
  if (keyManager !== undefined) return keyManager
  throw new VolsealError(
    'usage',
    `the certificate ${id} is to be fetched, but no key manager is given`,
    {
      hint: 'give the certificate itself, or a key manager',
    },
  )
}

/** Verifies an image that is held for writing; refuses what is not acceptable before reading. */
export async function verifyHeld(
  source: ByteSource,
  held: { readonly pass: Parameters<typeof verifyPass>[0] },
  plan: Plan,
): Promise<VerifyReport> {
  return await verifyPass(held.pass, source.size, {
    ...plan,
    image: source.name,
    refuseEarly: true,
  })
}

export {
  type Acceptance,
  type Cause,
  ImageRefused,
  readOrUnchecked,
  type VerifyReport,
} from '../verify/index.js'
export type { JudgeOptions, VerifyOptions } from './judge-options.js'
export { withReport } from './refusal.js'
