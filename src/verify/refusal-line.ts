import { VolsealError } from '../core/errors.js'
import { NOT_READ } from './as-cursive.js'
import { isWhole } from './evidence.js'
import type { Acceptance, Cause, CauseCode, Explanation } from './explanation.js'
import { ImageRefused } from './report.js'
import { CRYPTOGRAPHIES } from './who-accepts.js'

/**
 * A refusal in one line: what is wrong, as far as there is evidence of it, and what nova, cinder and
 * glance do with such an image.
 */
export function tellRefusal(refused: ImageRefused, explanation: Explanation): ImageRefused {
  const { code, cause, report, evidence } = refused
  const { message, hint } = whatIsWrong(refused, explanation.causes)
  const services = servicesSay(refused, explanation.acceptedBy)
  const line = services === undefined ? message : `${message}; ${services}`
  return new ImageRefused(new VolsealError(code, line, { hint, cause }), report, evidence)
}

/** Causes of a signature that does not fit; the first one is the one to say. */
const MISMATCHES: ReadonlySet<CauseCode> = new Set([
  'python-repr',
  'url-safe-base64',
  'unpadded-base64',
  'hex-signature',
  'pkcs1-padding',
  'raw-signature',
  'digest-signed',
  'other-hash',
  'other-mgf-hash',
  'other-key',
  'other-image',
  'other-image-or-key',
])

/** All but a mismatch say it themselves. */
function whatIsWrong(
  { code, message, hint, evidence }: ImageRefused,
  causes: readonly Cause[],
): Pick<VolsealError, 'message' | 'hint'> {
  const cause = causes.find((found) => MISMATCHES.has(found.code))
  if (code !== 'signature-mismatch' || cause === undefined) return { message, hint }
  const isHashOpen =
    cause.code === 'other-image-or-key' && evidence !== undefined && !isWhole(evidence)
  const more = isHashOpen ? '; verify --explain tries the other hashes' : ''
  return { message: cause.message, hint: remedyOf(cause) ?? `${hint}${more}` }
}

/** In characters; a longer command is a whole signature. */
const LONGEST_HINT = 300

function remedyOf({ remedy }: Cause): string | undefined {
  if (remedy.length === 0) return undefined
  const commands = remedy.join(' && ')
  if (commands.length > LONGEST_HINT) return 'verify --explain prints the command that mends it'
  return `mend it with: ${commands}`
}

const ALL = 'nova, cinder and glance'
const DO_NOT_LOOK =
  'cinder and glance do not look at that, and nova only where it validates certificates'
const ACCEPT_UNTRUSTED =
  'cinder and glance accept it, and nova where it does not validate certificates'

/** What the services do, as a clause; undefined where that is not known. */
function servicesSay(
  { code }: ImageRefused,
  acceptedBy: readonly Acceptance[],
): string | undefined {
  if (code === 'policy-refused') return `${ALL} do not know the policy`
  const services = acceptedBy.filter(({ cryptography }) => cryptography !== null)
  const unknown = services.find(({ verdict }) => verdict === 'unknown')
  // Refused without reading, and not for what they would refuse it for.
  const doNotMind = unknown?.reason === NOT_READ
  const isTrust = code === 'certificate-untrusted'
  if (doNotMind) return isTrust ? DO_NOT_LOOK : `${ALL} do not mind`
  const isUnsigned = services.some(({ verdict }) => verdict === 'unsigned')
  // Properties that could not even be read are not missing in Glance.
  if (unknown !== undefined || (isUnsigned && code === 'signature-malformed')) return undefined
  if (isTrust && services.every(({ verdict }) => verdict === 'accepts')) return ACCEPT_UNTRUSTED
  const [older = [], newer = []] = CRYPTOGRAPHIES.map((which) =>
    services.filter(({ cryptography }) => cryptography === which),
  )
  if (saidBy(older) === saidBy(newer)) return saidBy(older)
  return `${saidBy(older)} with cryptography <= 41, and accept it from 42 on`
}

/** For one of them, and for several. */
const WORDS: Readonly<Record<Acceptance['verdict'], readonly [one: string, several: string]>> = {
  accepts: ['accepts it', 'accept it'],
  refuses: ['refuses it', 'refuse it'],
  unsigned: ['takes it as unsigned', 'take it as unsigned'],
  unknown: ['may accept it', 'may accept it'],
}

function saidBy(rows: readonly Acceptance[]): string {
  const verdicts = [...new Set(rows.map(({ verdict }) => verdict))]
  const clauses = verdicts.map((verdict) => {
    const who = rows.filter((row) => row.verdict === verdict).map(({ verifier }) => verifier)
    return `${listed(who)} ${WORDS[verdict][who.length === 1 ? 0 : 1]}`
  })
  const isToo = verdicts.length === 1 && verdicts[0] === 'refuses'
  return `${clauses.join(', ')}${isToo ? ' too' : ''}`
}

function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? ''
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`
}
