import { contextTag, DerFault, type Element, Elements, listOf, sequenceOf } from '../core/der.js'
import { type Candidate, type Finding, failed, isSelfIssued } from './candidate.js'
import { OID } from './extensions.js'
import type { CertificateFields } from './fields.js'
import { holdsEmailAddress, holdsUncompared, isWithin, type NameKey, nameKey } from './names.js'

/**
 * Name constraints (RFC 5280 §4.2.1.10). Names of directories are compared. An image's signer needs
 * no name of another form, so those are not: where a form is constrained and a certificate below has
 * a name of that form, the path is refused.
 */

/** The forms of GeneralName by the number of their tag (RFC 5280 §4.2.1.6). */
const FORMS = [
  'otherName',
  'rfc822Name',
  'dNSName',
  'x400Address',
  'directoryName',
  'ediPartyName',
  'uniformResourceIdentifier',
  'iPAddress',
  'registeredID',
] as const

type Form = (typeof FORMS)[number]

interface GeneralName {
  readonly form: Form
  /** Of a directoryName. */
  readonly name: NameKey | undefined
}

/** Most names that are compared: constraints of the issuers times names of a certificate. */
const MOST_COMPARISONS = 10_000

interface Constraints {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

/**
 * Whether every issuer above allows a certificate's names (RFC 5280 §6.1.3 (b), (c)), of a path from
 * the signer upward; self-issued intermediates are exempt.
 */
export function judgeNames(path: readonly Candidate[], index: number): Finding {
  const name = 'name-constraints'
  const expected = 'names that every CA above allows'
  const candidate = path[index]
  if (candidate === undefined || (index > 0 && isSelfIssued(candidate))) {
    return { check: { name, result: 'skipped', expected, found: 'self-issued' } }
  }
  const hint = 'take a certificate whose name that CA may give, or another CA'
  for (const issuer of path.slice(index + 1)) {
    const { subject } = issuer.certificate
    const fault = constraintFault(issuer, candidate)
    if (fault !== undefined) return failed(name, expected, fault, `${fault} (by ${subject})`, hint)
  }
  return { check: { name, result: 'pass', expected, found: 'allowed' } }
}

function constraintFault(issuer: Candidate, candidate: Candidate): string | undefined {
  try {
    return nameFault(issuer.fields, candidate.fields)
  } catch (error) {
    if (error instanceof DerFault) return `the name constraints cannot be read: ${error.message}`
    throw error
  }
}

/**
 * What is wrong with a certificate's names under an issuer's constraints; undefined when nothing is.
 *
 * @throws {DerFault}
 */
function nameFault(issuer: CertificateFields, certificate: CertificateFields): string | undefined {
  const extension = issuer.extensions.get(OID.nameConstraints)
  if (extension === undefined) return undefined
  const constraints = readConstraints(extension.value)
  const names = namesOf(certificate)
  const total = constraints.permitted.length + constraints.excluded.length
  if (total * names.length > MOST_COMPARISONS) {
    return `${names.length} names under ${total} constraints: at most ${MOST_COMPARISONS} comparisons are made`
  }
  for (const name of names) {
    const fault = faultOf(name, constraints)
    if (fault !== undefined) return fault
  }
  return undefined
}

function faultOf({ form, name }: GeneralName, constraints: Constraints): string | undefined {
  const sameForm = (other: GeneralName): boolean => other.form === form
  const permitted = constraints.permitted.filter(sameForm)
  const excluded = constraints.excluded.filter(sameForm)
  if (permitted.length + excluded.length === 0) return undefined
  if (name === undefined) return `it has a name of the form ${form}, which is constrained`
  const covers = (other: GeneralName): boolean =>
    other.name !== undefined && isWithin(name, other.name)
  if (excluded.some(covers)) return 'its name is in a subtree that is excluded'
  if (excluded.length > 0 && holdsUncompared(name)) {
    return 'its name holds what is no text, and so may be one that is excluded'
  }
  if (permitted.length === 0 || permitted.some(covers)) return undefined
  return 'its name is in no subtree that is permitted'
}

/** NameConstraints ::= SEQUENCE { [0] permitted OPTIONAL, [1] excluded OPTIONAL }. */
function readConstraints(value: Buffer): Constraints {
  const fields = sequenceOf(value)
  const permitted = readSubtrees(fields.optional(contextTag(0, true)))
  const excluded = readSubtrees(fields.optional(contextTag(1, true)))
  fields.end()
  return { permitted, excluded }
}

/** Subtrees with a minimum or maximum are not of this profile, and refused. */
function readSubtrees(element: Element | undefined): GeneralName[] {
  if (element === undefined) return []
  const subtrees = new Elements(element.content)
  const found: GeneralName[] = []
  while (!subtrees.done) {
    const subtree = subtrees.sequence()
    found.push(readName(subtree.any()))
    subtree.end()
  }
  return found
}

function readName({ tag, content }: Element): GeneralName {
  const form = FORMS[tag & 0x1f]
  if (form === undefined || tag < 0x80) throw new DerFault('a general name that is none')
  return { form, name: form === 'directoryName' ? nameKey(content) : undefined }
}

/** The subject, unless it is empty, its e-mail addresses, and the alternative names. */
function namesOf({ subject, extensions }: CertificateFields): GeneralName[] {
  const names: GeneralName[] =
    subject.length === 0 ? [] : [{ form: 'directoryName', name: subject }]
  if (holdsEmailAddress(subject)) names.push({ form: 'rfc822Name', name: undefined })
  const extension = extensions.get(OID.subjectAltName)
  return extension === undefined ? names : [...names, ...listOf(extension.value).map(readName)]
}
