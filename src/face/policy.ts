import { dirname, resolve } from 'node:path'
import { readSmallFile } from '../core/byte-source.js'
import type { Certificate } from '../core/certificate.js'
import { readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import type { SignatureProperties } from '../core/image-signature.js'
import { SIGNATURE_PROPERTIES } from '../core/image-signature.js'
import type { Problem } from '../core/yaml.js'
import {
  type AppliedPolicy,
  type CertificateReader,
  type Considered,
  considerRules,
  NO_RULE,
  type ParsedPolicy,
  type Policy,
  type PolicyRule,
  type PolicySubject,
  parsePolicy,
  ruleFor,
} from '../verify/index.js'
import { requireOneCertificate } from './trust.js'

/**
 * Reads a policy file, and the certificates that it names by their files, relative to it.
 *
 * @throws {VolsealError} `usage` naming line and column of what is wrong, `not-found`, `forbidden`
 */
export async function loadPolicy(path: string, signal?: AbortSignal): Promise<Policy> {
  const { policy, problems } = await readPolicy(path, signal)
  const [first, ...others] = problems
  if (first === undefined) return policy
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  throw new VolsealError('usage', `${atPlace(path, first)}${more}`, {
    hint: `volseal policy check ${path} shows all that is wrong`,
  })
}

/** `policy.yaml:3:5: what is wrong`, as compilers say it. */
export function atPlace(path: string, { line, column, message }: Problem): string {
  return `${path}:${line}:${column}: ${message}`
}

async function readPolicy(path: string, signal: AbortSignal | undefined): Promise<ParsedPolicy> {
  const content = await readSmallFile(path, 'policy', signal)
  return await parsePolicy(asText(content, path), path, certificateReader(path, signal))
}

function asText(content: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch (error) {
    throw new VolsealError('usage', `${path}: expected text in UTF-8`, { cause: error })
  }
}

function certificateReader(policy: string, signal: AbortSignal | undefined): CertificateReader {
  const directory = policy === '-' ? '.' : dirname(policy)
  return async (file) => {
    try {
      const content = await readSmallFile(resolve(directory, file), 'certificate', signal)
      const { fingerprint } = requireOneCertificate(content, file)
      return { content, fingerprint }
    } catch (error) {
      if (error instanceof VolsealError && signal?.aborted !== true) return error.message
      throw error
    }
  }
}

/** What a policy says, and what is wrong or unwise about it; the body of `policy check --json`. */
export interface PolicyCheck {
  readonly policy: string
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
  readonly rules: readonly PolicyRule[]
}

/** Reads a policy for who writes it: every problem at once. @throws {VolsealError} as `loadPolicy` */
export async function checkPolicy(path: string, signal?: AbortSignal): Promise<PolicyCheck> {
  const { policy, problems } = await readPolicy(path, signal)
  const warnings = problems.length > 0 ? [] : warningsOf(policy, new Date())
  return { policy: path, problems, warnings, rules: problems.length > 0 ? [] : policy.rules }
}

function warningsOf({ rules }: Policy, now: Date): Problem[] {
  const all = rules.findIndex(({ projects, images }) => (projects ?? images) === undefined)
  return rules.flatMap((rule, index) => {
    const unreachable = all !== -1 && index > all
    const words = [
      ...(unreachable ? [`never applies: ${rules[all]?.name}, above it, is for all images`] : []),
      ...(weakByName(rule) ? [WEAK_BY_NAME] : []),
      ...(rules.some((other, at) => at < index && other.name === rule.name)
        ? ['has the name of a rule above it']
        : []),
      ...expiring(rule, now),
    ]
    return words.map((message) => ({ ...rule.place, message: `${rule.name}: ${message}` }))
  })
}

const WEAK_BY_NAME =
  'asks for less by the image name alone, which whoever uploads an image chooses; name projects too'

function weakByName({ signature, images, projects }: PolicyRule): boolean {
  return signature !== 'required' && images !== undefined && projects === undefined
}

function expiring({ certificates = [] }: PolicyRule, now: Date): string[] {
  return certificates.flatMap(({ content }) => {
    if (content === undefined) return []
    const { subject, notAfter } = readCertificate(content, 'a certificate of the policy')
    const day = notAfter.toISOString().slice(0, 10)
    return notAfter < now ? [`the certificate ${subject} expired on ${day}`] : []
  })
}

/** Which rule applies to an image, and why; the rules above it were passed over. */
export interface PolicyExplanation {
  readonly rule: PolicyRule
  /** False when no rule applies, and a signature is required as without a policy. */
  readonly matched: boolean
  readonly considered: readonly Considered[]
}

/** @throws {VolsealError} `usage` when it depends on what is not known of the image */
export function explainPolicy(policy: Policy, subject: PolicySubject): PolicyExplanation {
  const rule = ruleFor(policy, subject)
  return { rule, matched: rule !== NO_RULE, considered: considerRules(policy, subject) }
}

/** What a policy asks of one image. */
export interface PolicyDecision {
  readonly rule: PolicyRule
  readonly applied: AppliedPolicy
  /** No signature is asked for: by `off`, or by `if-signed` when no property of one is there. */
  readonly exempt: boolean
}

export interface PolicyChoice {
  readonly policy?: Policy | undefined
  readonly subject?: PolicySubject | undefined
  readonly properties: SignatureProperties
}

/** @throws {VolsealError} `usage` when it depends on what is not known of the image */
export function decide({ policy, subject, properties }: PolicyChoice): PolicyDecision | undefined {
  if (policy === undefined) return undefined
  const rule = ruleFor(policy, subject ?? {})
  const { name, signature } = rule
  const unsigned = SIGNATURE_PROPERTIES.every((property) => properties[property] === undefined)
  return {
    rule,
    applied: { policy: policy.name, rule: name, signature },
    exempt: signature === 'off' || (signature === 'if-signed' && unsigned),
  }
}

/** Whether a rule says which certificates are accepted; then nobody else vouches for one. */
export function listsCertificates(decision: PolicyDecision | undefined): boolean {
  return decision?.rule.certificates !== undefined
}

/** The certificates of a rule that are there whole: signers, or CAs above them. */
export function trustedBy(decision: PolicyDecision | undefined): Buffer[] {
  return (decision?.rule.certificates ?? []).flatMap(({ content }) => content ?? [])
}

/** Whether a rule lists a certificate itself, by its file or its fingerprint. */
export function vouchesFor(
  decision: PolicyDecision | undefined,
  { fingerprint }: Certificate,
): boolean {
  return (decision?.rule.certificates ?? []).some((listed) => listed.fingerprint === fingerprint)
}

export type { Considered, Policy, PolicyRule, PolicySubject } from '../verify/index.js'
