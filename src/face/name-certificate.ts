import type { KeyType } from '../core/algorithms.js'
import { readBarbicanId } from '../core/barbican-id.js'
import { keyMisfit, readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import type { ImageSignature } from '../core/image-signature.js'
import type { Profile } from '../core/profiles.js'
import type { SecretSource } from '../keyfile/index.js'
import type { NamedCertificate } from '../verify/index.js'
import { certificateFile } from './certificates.js'
import type { JudgeOptions } from './judge-options.js'
import { listsCertificates, type PolicyDecision, trustedBy, vouchesFor } from './policy.js'
import { judgeTrustOf, type Vouchers } from './trust.js'

/**
 * Whether somebody but the image's properties says which certificate is meant: the caller, or a
 * policy's rule that brings it.
 */
export function isCertificateKnown(
  options: JudgeOptions,
  decision: PolicyDecision | undefined,
): boolean {
  return isNamed(options) || isPolicys(options, decision)
}

function isNamed({ certificate, certificateId }: JudgeOptions): boolean {
  return (certificate ?? certificateId) !== undefined
}

/** Nobody names a certificate, and the rule has some. */
function isPolicys(options: JudgeOptions, decision: PolicyDecision | undefined): boolean {
  const named = isNamed(options) || options.properties.img_signature_certificate_uuid !== undefined
  return !named && trustedBy(decision).length > 0
}

interface Naming {
  readonly signature: ImageSignature
  readonly decision: PolicyDecision | undefined
  readonly profile: Profile
  /** For which time it is judged. */
  readonly at: Date
}

/** The certificate of an image, and who vouches for it. */
export async function nameCertificate(
  options: JudgeOptions,
  { signature, decision, profile, at }: Naming,
): Promise<NamedCertificate> {
  const { content, name, id } = isPolicys(options, decision)
    ? certificateOfPolicy(decision, signature)
    : await findCertificate(options, signature, profile)
  if (!profile.trust) {
    return { id, certificate: readCertificate(content, name, profile), trust: 'none' }
  }
  const vouchers = vouchersOf(options, decision, content, name)
  return { id, ...judgeTrustOf(content, name, { ...vouchers, at }) }
}

interface Found {
  readonly content: Buffer
  /** How errors call it. */
  readonly name: string
  readonly id: string | null
}

/** The certificate that a policy brings where nobody names one, if there is just one of the key type. */
export function broughtByPolicy(
  options: JudgeOptions,
  decision: PolicyDecision | undefined,
  keyType: KeyType | undefined,
): Buffer | undefined {
  if (keyType === undefined || !isPolicys(options, decision)) return undefined
  const fitting = fittingOf(decision, keyType)
  return fitting.length === 1 ? fitting[0] : undefined
}

function fittingOf(decision: PolicyDecision | undefined, keyType: KeyType): Buffer[] {
  return trustedBy(decision).filter(
    (content) => keyMisfit(readCertificate(content, OF_POLICY).publicKey, keyType) === undefined,
  )
}

const OF_POLICY = 'a certificate of the policy'

/** Where nobody names a certificate, the policy's own is meant, if there is just one of that key type. */
function certificateOfPolicy(
  decision: PolicyDecision | undefined,
  { keyType }: ImageSignature,
): Found {
  const fitting = fittingOf(decision, keyType)
  const [content] = fitting
  if (content !== undefined && fitting.length === 1) return { content, name: OF_POLICY, id: null }
  throw new VolsealError(
    'unsigned',
    `the image's properties name no certificate, and the policy lists ${fitting.length} for ${keyType.name}`,
    { hint: 'name the certificate: --cert FILE or --cert-id ID' },
  )
}

async function findCertificate(
  options: JudgeOptions,
  signature: ImageSignature,
  profile: Profile,
): Promise<Found> {
  if (options.certificate !== undefined) {
    const id = signature.certificateId ?? null
    return { content: options.certificate, name: options.certificateName ?? 'the certificate', id }
  }
  const id = options.certificateId ?? idOfProperty(signature.certificateId ?? '', profile)
  const content = await certificateFile(requireKeyManager(options, id), id, profile)
  return { content, name: `the certificate ${id}`, id }
}

/**
 * A rule that lists certificates vouches alone: its files are anchors, its fingerprints are those of
 * signers. What the caller trusts may then stand between, as anything may.
 */
function vouchersOf(
  options: JudgeOptions,
  decision: PolicyDecision | undefined,
  content: Buffer,
  name: string,
): Vouchers {
  const { trusted = [], untrusted = [], crls = [] } = options
  if (!listsCertificates(decision)) {
    return { named: isNamed(options), trusted, untrusted, crls }
  }
  const signer = readCertificate(content, name)
  const itself = vouchesFor(decision, signer) ? [Buffer.from(signer.pem)] : []
  return {
    named: false,
    required: true,
    trusted: [...itself, ...trustedBy(decision)],
    untrusted: [...untrusted, ...trusted],
    crls,
  }
}

/** Barbican takes a URL as well, and uses its last part only; how the rest is written is up to Python. */
function idOfProperty(value: string, profile: Profile): string {
  const read = readBarbicanId(value)
  if (read.kind === 'id' && (read.isCanonical || profile.certificateId === 'python')) return read.id
  throw new VolsealError(
    'signature-malformed',
    `img_signature_certificate_uuid: expected a version-4 UUID${read.kind === 'id' ? ' in small letters' : ''}, got ${JSON.stringify(value.slice(0, 80))}`,
    { hint: read.kind === 'id' ? `write it as ${read.id}` : undefined },
  )
}

function requireKeyManager({ keyManager }: JudgeOptions, id: string): SecretSource {
  if (keyManager !== undefined) return keyManager
  throw new VolsealError(
    'usage',
    `the certificate ${id} is to be fetched, but no key manager is given`,
    { hint: 'give the certificate itself, or a key manager' },
  )
}
