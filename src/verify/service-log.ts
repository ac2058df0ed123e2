import { type CursiveVerdict, judgeAsCursive } from './as-cursive.js'
import type { Evidence } from './evidence.js'
import type { LogLine, Service, SignatureFacts } from './explanation.js'
import { habitOf, SERVICES } from './who-accepts.js'

/**
 * The lines that nova, cinder and glance write to their logs, word for word (nova/image/glance.py,
 * cinder/image/image_utils.py, glance/location.py, 2026-08), without date and process. With `salt`
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
  nova: (image, verdict) => {
    const log = logger('nova', 'nova.image.glance')
    if (verdict.stage === 'accepted') {
      return [log('INFO', `Image signature verification succeeded for image ${image}`)]
    }
    // Only the metadata error has the colon.
    if (verdict.stage === 'signature') {
      return [log('ERROR', `Image signature verification failed for image ${image}`)]
    }
    return isOwn(verdict)
      ? [log('ERROR', `Image signature verification failed for image: ${image}`)]
      : []
  },
  cinder: (image, verdict, { missing }) => {
    const log = logger('cinder', 'cinder.image.image_utils')
    if (missing.length > 0) {
      return [log('ERROR', `Image signature metadata for image ${image} is incomplete.`)]
    }
    if (verdict.stage === 'accepted') {
      return [log('INFO', `Image signature verification succeeded for image: ${image}`)]
    }
    if (verdict.stage === 'signature') {
      return [log('ERROR', `Image signature verification failed for image: ${image}`)]
    }
    return isOwn(verdict) ? [log('ERROR', `Failed to get verifier for image: ${image}`)] : []
  },
  glance: (image, verdict) => {
    const [log, api] = [
      logger('glance', 'glance.location'),
      logger('glance', 'glance.api.v2.image_data'),
    ]
    const failed = `Signature verification failed for image ${image}: `
    if (verdict.stage === 'accepted') {
      return [log('INFO', `Successfully verified signature for image ${image}`)]
    }
    if (verdict.stage === 'signature') {
      return [api('ERROR', `${failed}Signature verification failed`)]
    }
    return isOwn(verdict) ? [api('ERROR', `${failed}${verdict.error.text}`)] : []
  },
}

function logger(service: Service, name: string) {
  return (level: LogLine['level'], message: string): LogLine => ({
    service,
    level,
    logger: name,
    message,
  })
}

/** What is not cursive's own error is caught far away, and logged with a traceback. */
function isOwn(verdict: CursiveVerdict): verdict is Extract<CursiveVerdict, { stage: 'verifier' }> {
  return verdict.stage === 'verifier' && verdict.error.type === 'SignatureVerificationError'
}
