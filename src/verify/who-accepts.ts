import { type CursiveVerdict, judgeAsCursive, NOT_OF_IMAGE, NOT_READ } from './as-cursive.js'
import type { Evidence } from './evidence.js'
import type { Acceptance, Cryptography, Service, SignatureFacts } from './explanation.js'
import { isSignatureOfImage, recoverSignature } from './recover.js'

/** What each of the services makes of missing properties, the only point in which they differ. */
interface Habit {
  /** Without any of the four. */
  readonly none: 'unsigned' | 'refuses'
  /** With one to three of them. */
  readonly some: 'unsigned' | 'refuses'
}

/** nova, cinder and glance, as image signing is documented in each (nova/image/glance.py …). */
export const HABITS: Readonly<Record<Service, Habit>> = {
  // nova.image.glance, _get_verifier with [glance] verify_glance_signatures
  nova: { none: 'refuses', some: 'refuses' },
  // cinder.image.image_utils, verify_glance_image_signature
  cinder: { none: 'unsigned', some: 'refuses' },
  // glance.location, cursive's should_create_verifier
  glance: { none: 'unsigned', some: 'unsigned' },
}

export const SERVICES: readonly Service[] = ['nova', 'cinder', 'glance']
export const CRYPTOGRAPHIES: readonly Cryptography[] = ['<=41', '>=42']

export const CERTIFICATE_ID = 'img_signature_certificate_uuid'

/** Who would accept the image: the services with either cryptography, and `openssl dgst`. */
export function whoAccepts(facts: SignatureFacts, evidence: Evidence | undefined): Acceptance[] {
  const services = CRYPTOGRAPHIES.flatMap((cryptography) => {
    const verdict = judgeAsCursive(facts, evidence, cryptography)
    return SERVICES.map((service) => judgeService(service, cryptography, facts, verdict))
  })
  return [...services, judgeOpenssl(facts, evidence)]
}

function judgeService(
  verifier: Service,
  cryptography: Cryptography,
  facts: SignatureFacts,
  verdict: CursiveVerdict,
): Acceptance {
  const who = { verifier, cryptography, condition: null } as const
  const habit = habitOf(verifier, facts)
  if (habit !== undefined && !isOnlyUnnamed(facts)) {
    const isNone = facts.missing.length === 4
    const reason = isNone ? 'there is no signature' : `${facts.missing.join(', ')} missing`
    return { ...who, verdict: habit, reason }
  }
  if (verdict.stage === 'unknown') return { ...who, verdict: 'unknown', reason: verdict.reason }
  if (verdict.stage !== 'accepted') return { ...who, verdict: 'refuses', reason: verdict.reason }
  const until = habit === undefined ? null : onceNamed(habit)
  const condition = [until, verdict.note].filter((part) => part !== null).join('; ')
  return { ...who, verdict: 'accepts', reason: null, condition: condition || null }
}

/** What a service does because properties are missing; undefined when none are. */
export function habitOf(service: Service, { missing }: SignatureFacts): Habit['none'] | undefined {
  if (missing.length === 0) return undefined
  return missing.length === 4 ? HABITS[service].none : HABITS[service].some
}

/** Only the certificate's id is missing, and the caller says which certificate it will be. */
export function isOnlyUnnamed({ missing, certificate }: SignatureFacts): boolean {
  return certificate.isNamedByCaller && missing.length === 1 && missing[0] === CERTIFICATE_ID
}

function onceNamed(habit: Habit['some']): string {
  const until = habit === 'unsigned' ? 'takes it as unsigned' : 'refuses'
  return `once ${CERTIFICATE_ID} names the certificate; until then ${until}`
}

/** `openssl dgst -verify` with the certificate's key and the decoded signature: any salt. */
function judgeOpenssl(facts: SignatureFacts, evidence: Evidence | undefined): Acceptance {
  const who = { verifier: 'openssl', cryptography: null, condition: null } as const
  const key = facts.certificate.certificate?.publicKey
  const signature = facts.text?.meant
  const { hash } = facts
  if (key === undefined || signature === undefined || hash === undefined) {
    const reason = 'it needs a signature, a hash and a certificate that can be read'
    return { ...who, verdict: 'unknown', reason }
  }
  if (evidence === undefined) {
    return { ...who, verdict: 'unknown', reason: NOT_READ }
  }
  const found = recoverSignature(signature, key, evidence, hash)
  if (!isSignatureOfImage(found, hash)) return { ...who, verdict: 'refuses', reason: NOT_OF_IMAGE }
  const condition = facts.text?.form === 'canonical' ? null : 'with the signature that was meant'
  return { ...who, verdict: 'accepts', reason: null, condition }
}
