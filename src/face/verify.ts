import {
  type ByteInput,
  type ByteSource,
  openSource,
  type PassOptions,
  passOver,
} from '../core/byte-source.js'
import { type Certificate, keyMisfit, readCertificate } from '../core/certificate.js'
import { isUuid } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import {
  type ImageSignature,
  parseSignature,
  type SignatureProperties,
} from '../core/image-signature.js'
import type { SecretSource } from '../keyfile/index.js'
import {
  type HeldImage,
  judgeAge,
  judgeSigner,
  type NamedCertificate,
  type Pass,
  type PolicyRule,
  passUnverified,
  readOrUnchecked,
  type SaltRule,
  type VerifyPlan,
  type VerifyReport,
  verifyPass,
} from '../verify/index.js'
import { certificateFromKeyManager } from './certificates.js'
import { hold, requireFormat } from './hold.js'
import {
  decide,
  type Policy,
  type PolicyDecision,
  type PolicySubject,
  trustedBy,
  vouchesFor,
} from './policy.js'

/** What an image is judged by. */
export interface JudgeOptions {
  /** The four Glance properties of the image. */
  readonly properties: SignatureProperties
  /** The certificate to verify with (PEM or DER); naming it vouches for it. */
  readonly certificate?: Buffer | undefined
  /** The same by its id in the key manager. */
  readonly certificateId?: string | undefined
  /** Certificates (PEM or DER) that are accepted when the properties name one of them. */
  readonly trusted?: readonly Buffer[] | undefined
  /** Where certificates are fetched from by their id. */
  readonly keyManager?: SecretSource | undefined
  /** `max` (default) refuses RSA-PSS salts that strict clouds refuse. */
  readonly salt?: SaltRule | undefined
  /** When the certificate must be valid; now when not given. */
  readonly at?: Date | undefined
  /** Rules for images (`loadPolicy`); without them a signature is required. */
  readonly policy?: Policy | undefined
  /** What the policy's rules look at, besides the image itself. */
  readonly subject?: PolicySubject | undefined
}

export interface VerifyOptions extends JudgeOptions, PassOptions {
  /** A path, `-` for standard input, or the bytes as they come. */
  readonly image: ByteInput
}

/**
 * Verifies an image as nova, cinder and glance do, in one pass and constant memory, and stricter:
 * the key must be what the key type says, the certificate valid and vouched for, the salt one that
 * every cloud accepts. With a policy, its rule for the image says more, or less: then the report may
 * say `not-required`.
 *
 * @returns the report of an accepted image
 * @throws {ImageRefused} for an image that was judged and refused; `report` says all
 * @throws {VolsealError} `unsigned`, `signature-malformed`, `unchecked`
 *
 * @example
 * const report = await verifyImage({ image: 'disk.raw', properties, certificate })
 */
export async function verifyImage(options: VerifyOptions): Promise<VerifyReport> {
  const plan = await planVerification(options)
  const source = await readOrUnchecked(async () => await openSource(options.image, 'image'))
  if (plan.rule?.formats !== undefined) return await verifyWithFormat(source, plan, options)
  const pass: Pass = async (consumer) => await passOver(source, consumer, options)
  try {
    return await judgePass(source, pass, plan, { refuseEarly: false })
  } finally {
    await source.close()
  }
}

/** The bytes whose format is looked at must be those that were verified. */
async function verifyWithFormat(
  source: ByteSource,
  plan: Plan,
  options: PassOptions,
): Promise<VerifyReport> {
  const held = await hold(source, false, options).catch(async (error: unknown) => {
    await source.close()
    throw error
  })
  try {
    const report = await judgePass(source, held.pass, plan, { refuseEarly: false })
    return plan.rule === undefined ? report : await requireFormat(held, plan.rule, report)
  } finally {
    await held.close()
  }
}

/** What an image is judged by, before it is read. */
export interface Plan {
  /** Undefined when a policy asks for no signature. */
  readonly signed: Omit<VerifyPlan, 'image' | 'refuseEarly' | 'policy'> | undefined
  readonly policy: NonNullable<VerifyPlan['policy']> | undefined
  readonly rule: PolicyRule | undefined
}

/** Parses the signature and finds its certificate: all that is needed before the image is read. */
export async function planVerification(options: JudgeOptions): Promise<Plan> {
  const decision = decide(options)
  const signed = decision?.exempt === true ? undefined : await planSigned(options, decision)
  if (decision === undefined) return { signed, policy: undefined, rule: undefined }
  const { rule, applied } = decision
  const judgements = [
    ...(signed === undefined
      ? []
      : judgeSigner(rule, signed.signature.keyType, signed.certificate.certificate)),
    ...judgeAge(rule, options.subject ?? {}, options.at ?? new Date()),
  ]
  return { signed, policy: { applied, judgements }, rule }
}

async function planSigned(
  options: JudgeOptions,
  decision: PolicyDecision | undefined,
): Promise<NonNullable<Plan['signed']>> {
  const { certificate, certificateId, properties } = options
  const byPolicy = properties.img_signature_certificate_uuid === undefined && hasFiles(decision)
  const named = (certificate ?? certificateId) !== undefined
  const signature = parseSignature(properties, { certificateKnown: named || byPolicy })
  const found = await readOrUnchecked(async () =>
    byPolicy && !named
      ? certificateOfPolicy(decision, signature)
      : await nameCertificate(options, signature, decision),
  )
  return { signature, certificate: found, salt: options.salt ?? 'max', at: options.at }
}

function hasFiles(decision: PolicyDecision | undefined): boolean {
  return trustedBy(decision).length > 0
}

/** Where nobody names a certificate, the policy's own is meant, if there is just one of that key type. */
function certificateOfPolicy(
  decision: PolicyDecision | undefined,
  { keyType }: ImageSignature,
): NamedCertificate {
  const fitting = trustedBy(decision)
    .map((content) => readCertificate(content, 'a certificate of the policy'))
    .filter(({ publicKey }) => keyMisfit(publicKey, keyType) === undefined)
  const [certificate] = fitting
  if (certificate !== undefined && fitting.length === 1) {
    return { certificate, trust: 'pinned', id: null }
  }
  throw new VolsealError(
    'unsigned',
    `the image's properties name no certificate, and the policy lists ${fitting.length} for ${keyType.name}`,
    { hint: 'name the certificate: --cert FILE or --cert-id ID' },
  )
}

async function nameCertificate(
  options: JudgeOptions,
  signature: ImageSignature,
  decision: PolicyDecision | undefined,
): Promise<NamedCertificate> {
  if (options.certificate !== undefined) {
    const certificate = readCertificate(options.certificate, 'the certificate')
    return { certificate, trust: 'pinned', id: signature.certificateId ?? null }
  }
  const id = options.certificateId ?? idOfProperty(signature.certificateId ?? '')
  const certificate = await certificateFromKeyManager(requireKeyManager(options, id), id)
  const pinned = options.certificateId !== undefined || isTrusted(certificate, options, decision)
  return { certificate, trust: pinned ? 'pinned' : 'none', id }
}

/** Listed by the caller, or by the policy's rule (whose files are the anchors that it brings). */
function isTrusted(
  certificate: Certificate,
  { trusted = [] }: JudgeOptions,
  decision: PolicyDecision | undefined,
): boolean {
  if (vouchesFor(decision, certificate)) return true
  return [...trusted, ...trustedBy(decision)].some(
    (content) =>
      readCertificate(content, 'a trusted certificate').fingerprint === certificate.fingerprint,
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
  held: HeldImage,
  plan: Plan,
): Promise<VerifyReport> {
  const report = await judgePass(source, held.pass, plan, { refuseEarly: true })
  return plan.rule?.formats === undefined ? report : await requireFormat(held, plan.rule, report)
}

async function judgePass(
  { name, size }: ByteSource,
  pass: Pass,
  { signed, policy }: Plan,
  { refuseEarly }: { readonly refuseEarly: boolean },
): Promise<VerifyReport> {
  const byPolicy = policy === undefined ? {} : { policy }
  if (signed !== undefined) {
    return await verifyPass(pass, size, { ...signed, ...byPolicy, image: name, refuseEarly })
  }
  if (policy !== undefined) return await passUnverified(pass, { image: name, policy })
  throw new VolsealError('internal', 'an image without a signature is not asked for by a policy')
}

export { ImageRefused, readOrUnchecked, type VerifyReport } from '../verify/index.js'
