import {
  type ByteInput,
  type ByteSource,
  openSource,
  type PassOptions,
  passOver,
} from '../core/byte-source.js'
import { isUuid } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import {
  type ImageSignature,
  parseSignature,
  type SignatureProperties,
} from '../core/image-signature.js'
import type { SecretSource } from '../keyfile/index.js'
import {
  readOrUnchecked,
  type SaltRule,
  type VerifyPlan,
  type VerifyReport,
  verifyPass,
} from '../verify/index.js'
import { certificateFile } from './certificates.js'
import { judgeTrustOf } from './trust.js'

/** What an image is judged by. */
export interface JudgeOptions {
  /** The four Glance properties of the image. */
  readonly properties: SignatureProperties
  /**
   * The certificate to verify with (PEM or DER); naming it vouches for it, unless `trusted` says who
   * does. In PEM the issuers' certificates may stand behind it.
   */
  readonly certificate?: Buffer | undefined
  /** The same by its id in the key manager. */
  readonly certificateId?: string | undefined
  /**
   * Trusted certificates (PEM, which may hold several, or DER): the signer's own or that of a CA
   * above it. When there are any, they alone vouch; naming the signer's certificate does not.
   */
  readonly trusted?: readonly Buffer[] | undefined
  /** Certificates that may stand between the signer's and a trusted one. */
  readonly untrusted?: readonly Buffer[] | undefined
  /** CRLs (PEM or DER): then every certificate below the trusted one must be on none of its CA's. */
  readonly crls?: readonly Buffer[] | undefined
  /** Where certificates are fetched from by their id. */
  readonly keyManager?: SecretSource | undefined
  /** `max` (default) refuses RSA-PSS salts that strict clouds refuse. */
  readonly salt?: SaltRule | undefined
  /** When certificates must be valid and CRLs current; now when not given. */
  readonly at?: Date | undefined
}

export interface VerifyOptions extends JudgeOptions, PassOptions {
  /** A path, `-` for standard input, or the bytes as they come. */
  readonly image: ByteInput
}

/**
 * Verifies an image as nova, cinder and glance do, in one pass and constant memory, and stricter:
 * the key must be what the key type says, the certificate valid and vouched for, the salt one that
 * every cloud accepts.
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
  try {
    return await verifyPass(
      async (consumer) => await passOver(source, consumer, options),
      source.size,
      { ...plan, image: source.name, refuseEarly: false },
    )
  } finally {
    await source.close()
  }
}

type Plan = Omit<VerifyPlan, 'image' | 'refuseEarly'>

/** Parses the signature and finds its certificate: all that is needed before the image is read. */
export async function planVerification(options: JudgeOptions): Promise<Plan> {
  const named = options.certificate !== undefined || options.certificateId !== undefined
  const signature = parseSignature(options.properties, { certificateKnown: named })
  const at = options.at ?? new Date()
  const certificate = await readOrUnchecked(async () => {
    const { content, id, name } = await findCertificate(options, signature)
    return { id, ...judgeTrustOf(content, name, { ...options, named, at }) }
  })
  return { signature, certificate, salt: options.salt ?? 'max', at }
}

interface Found {
  readonly content: Buffer
  readonly name: string
  readonly id: string | null
}

async function findCertificate(options: JudgeOptions, signature: ImageSignature): Promise<Found> {
  if (options.certificate !== undefined) {
    const id = signature.certificateId ?? null
    return { content: options.certificate, name: 'the certificate', id }
  }
  const id = options.certificateId ?? idOfProperty(signature.certificateId ?? '')
  const content = await certificateFile(requireKeyManager(options, id), id)
  return { content, name: `the certificate ${id}`, id }
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

export { ImageRefused, readOrUnchecked, type VerifyReport } from '../verify/index.js'
