import { type CursiveVerdict, judgeAsCursive, type PythonError } from './as-cursive.js'
import type { Evidence } from './evidence.js'
import type { LogLine, Service, SignatureFacts } from './explanation.js'
import { habitOf, SERVICES } from './who-accepts.js'

/**
 * The lines that nova, cinder and glance write to their logs, word for word (nova/image/glance.py,
 * cinder/image/image_utils.py, glance/location.py, 2026-08; Debian 12's are the same), without date and process. With `salt`
 * `any` they are those of a cloud with cryptography >= 42. They are of the properties as they are:
 * a certificate that only the caller names is none to the services.
 */
export function serviceLog(facts: SignatureFacts, evidence: Evidence | undefined): LogLine[] {
  const cryptography = facts.salt === 'any' ? '>=42' : '<=41'
  const written = asWritten(facts)
  const verdict = judgeAsCursive(written, evidence, cryptography)
  const image = facts.imageId ?? facts.image
  return SERVICES.flatMap((service) => {
    if (habitOf(service, written) === 'unsigned') return []
    return LINES[service](image, verdict, written)
  })
}

function asWritten(facts: SignatureFacts): SignatureFacts {
  return { ...facts, certificate: { ...facts.certificate, isNamedByCaller: false } }
}

type Line = (image: string, verdict: CursiveVerdict, facts: SignatureFacts) => LogLine[]

const LINES: Readonly<Record<Service, Line>> = {
  nova: (image, verdict, facts) => {
    const unknownName = invalidForNova(facts)
    if (unknownName !== undefined) {
      const message = `HTTP exception thrown: Invalid image metadata. Error: Field value ${unknownName} is invalid`
      return [line('nova', 'INFO', 'nova.api.openstack.wsgi', message)]
    }
    // Only the metadata error has the colon.
    const failed = 'Image signature verification failed for image'
    return [
      outcome(verdict, {
        accepted: [
          'INFO',
          'nova.image.glance',
          `Image signature verification succeeded for image ${image}`,
        ],
        signature: ['ERROR', 'nova.image.glance', `${failed} ${image}`],
        own: () => ['ERROR', 'nova.image.glance', `${failed}: ${image}`],
        // Behind it is the traceback.
        other: () => ['ERROR', 'nova.compute.manager', 'Instance failed to spawn'],
      }),
    ].flatMap(said('nova'))
  },
  cinder: (image, verdict, { missing }) => {
    const utils = 'cinder.image.image_utils'
    if (missing.length > 0) {
      const message = `Image signature metadata for image ${image} is incomplete.`
      return [line('cinder', 'ERROR', utils, message)]
    }
    return [
      outcome(verdict, {
        accepted: ['INFO', utils, `Image signature verification succeeded for image: ${image}`],
        signature: ['ERROR', utils, `Image signature verification failed for image: ${image}`],
        own: () => ['ERROR', utils, `Failed to get verifier for image: ${image}`],
        other: () => [
          'ERROR',
          'cinder.volume.flows.manager.create_volume',
          'Volume VOLUME: create failed',
        ],
      }),
    ].flatMap(said('cinder'))
  },
  glance: (image, verdict) => {
    const api = 'glance.api.v2.image_data'
    const failed = `Signature verification failed for image ${image}`
    return [
      outcome(verdict, {
        accepted: ['INFO', 'glance.location', `Successfully verified signature for image ${image}`],
        signature: ['ERROR', api, `${failed}: Signature verification failed`],
        own: ({ text }) => ['ERROR', api, `${failed}: ${text}`],
        other: ({ type, text }) =>
          type === 'ValueError'
            ? ['DEBUG', api, `Cannot save data for image ${image}: ${text}`]
            : ['ERROR', api, 'Failed to upload image data due to internal error'],
      }),
    ].flatMap(said('glance'))
  },
}

type Said = readonly [level: LogLine['level'], logger: string, message: string]

interface Outcomes {
  readonly accepted: Said
  readonly signature: Said
  /** cursive's own error, before the image is read. */
  readonly own: (error: PythonError) => Said
  /** Any other, which the service did not reckon with. */
  readonly other: (error: PythonError) => Said
}

function outcome(verdict: CursiveVerdict, outcomes: Outcomes): Said | undefined {
  if (verdict.stage === 'unknown') return undefined
  if (verdict.stage !== 'verifier') return outcomes[verdict.stage]
  const isOwn = verdict.error.type === 'SignatureVerificationError'
  return isOwn ? outcomes.own(verdict.error) : outcomes.other(verdict.error)
}

function said(service: Service) {
  return (words: Said | undefined): LogLine[] =>
    words === undefined ? [] : [line(service, ...words)]
}

function line(service: Service, ...[level, logger, message]: Said): LogLine {
  return { service, level, logger, message }
}

/** nova's API refuses names that it does not know (ImageMetaProps): no compute host sees the image. */
function invalidForNova({ hash, keyType, properties }: SignatureFacts): string | undefined {
  const { img_signature_hash_method, img_signature_key_type } = properties
  if (hash === undefined && img_signature_hash_method !== undefined)
    return img_signature_hash_method
  return keyType === undefined ? img_signature_key_type : undefined
}
