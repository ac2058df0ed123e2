import {
  KEY_TYPES,
  type KeyTypeName,
  RSA_MIN_BITS,
  RSA_USABLE_BITS,
} from '../../core/algorithms.js'
import { byPlace, type Place, type Problem, readYaml, type YamlNode } from '../../core/yaml.js'
import {
  list,
  note,
  record,
  type Shape,
  table,
  text,
  wholeNumber,
  word,
} from '../../core/yaml-shape.js'
import {
  type Age,
  POLICY_FORMATS,
  type Policy,
  type PolicyCertificate,
  type PolicyRule,
  SIGNATURE_DEMANDS,
} from './policy.js'

/** The content of a file that a policy names, relative to it; a message when it cannot be used. */
export type CertificateReader = (
  path: string,
) => Promise<{ readonly content: Buffer; readonly fingerprint: string } | string>

export interface ParsedPolicy {
  readonly policy: Policy
  /** With any, the policy is not to be used. */
  readonly problems: readonly Problem[]
}

/** Reads a policy; never throws for what the text is. */
export async function parsePolicy(
  source: string,
  name: string,
  readCertificateFile: CertificateReader,
): Promise<ParsedPolicy> {
  const { root, problems: found } = await readYaml(source)
  if (root.kind === 'nothing' && found.length > 0)
    return { policy: { name, rules: [] }, problems: found }
  const problems: Problem[] = []
  const shaped = POLICY(root, '', problems)
  const rules = await Promise.all(
    (shaped?.rules ?? []).map(async (rule, index) => ({
      ...rule,
      name: rule.name ?? `rule ${index + 1}`,
      certificates: await readCertificates(rule, readCertificateFile, problems),
    })),
  )
  // What YAML itself has refused stands there as nothing, which no shape expects.
  const more = problems.filter((problem) => found.every((other) => byPlace(problem, other) !== 0))
  return { policy: { name, rules }, problems: [...found, ...more].toSorted(byPlace) }
}

const KEY_TYPE_NAMES = KEY_TYPES.map((type) => type.name)
/** An elliptic curve has one size. */
const SIZED_KEY_TYPES = KEY_TYPES.filter(({ family }) => family !== 'ec').map((type) => type.name)

const NAME = text('a text of 1 to 255 characters', /^[^]{1,255}$/u)
const FINGERPRINT = text(
  'a text with a SHA-256 fingerprint: 64 hex digits, with or without colons',
  /^[\da-fA-F]{2}(?::?[\da-fA-F]{2}){31}$/,
)
const FILE = text('a text with the name of a file', /^[^\0]{1,4096}$/u)

/** How long each unit of an age is, in hours. */
const HOURS: Readonly<Record<string, number>> = { h: 1, d: 24, w: 7 * 24 }
const AGE_TEXT = text('a text such as 90d (h, d or w, from 1 to 9999)', /^[1-9]\d{0,3}[hdw]$/)

const age: Shape<Age> = (node, path, problems) => {
  const found = AGE_TEXT(node, path, problems)
  if (found === undefined) return undefined
  const hours = HOURS[found.slice(-1)] ?? 0
  return { text: found, milliseconds: Number(found.slice(0, -1)) * hours * 3_600_000 }
}

interface NamedCertificate {
  readonly place: Place
  readonly path: string
  readonly fingerprint?: string | undefined
  readonly file?: string | undefined
}

const CERTIFICATE_KEYS = record({ fingerprint: FINGERPRINT, file: FILE }, [])

const certificate: Shape<NamedCertificate> = (node, path, problems) => {
  const found = CERTIFICATE_KEYS(node, path, problems)
  if (found === undefined || node.kind !== 'map') return undefined
  if (node.entries.length === 1) return { ...found, path, place: node.place }
  return note(node, problems, `${path}: expected one of fingerprint and file`)
}

const RULE_KEYS = record(
  {
    name: NAME,
    projects: list(NAME),
    images: list(NAME),
    signature: word(SIGNATURE_DEMANDS),
    key_types: list(word<KeyTypeName>(KEY_TYPE_NAMES)),
    minimum_bits: table<KeyTypeName, number>(
      SIZED_KEY_TYPES,
      wholeNumber(RSA_MIN_BITS, RSA_USABLE_BITS),
    ),
    certificates: list(certificate),
    maximum_age: age,
    formats: list(word(POLICY_FORMATS)),
  },
  [],
)

type ShapedRule = Omit<PolicyRule, 'name' | 'certificates'> & {
  readonly name: string | undefined
  readonly certificates: readonly NamedCertificate[] | undefined
}

/** What says how a signature must be; without a signature it would say nothing. */
const OF_SIGNATURES = ['key_types', 'minimum_bits', 'certificates'] as const

const rule: Shape<ShapedRule> = (node, path, problems) => {
  const found = RULE_KEYS(node, path, problems)
  if (found === undefined) return undefined
  const { key_types: keyTypes, minimum_bits: minimumBits, maximum_age: maximumAge } = found
  if (found.signature === 'off') refuseUnused(node, path, problems)
  return {
    name: found.name,
    place: node.place,
    projects: found.projects,
    images: found.images,
    signature: found.signature ?? 'required',
    keyTypes,
    minimumBits,
    certificates: found.certificates,
    maximumAge,
    formats: found.formats,
  }
}

function refuseUnused(node: YamlNode, path: string, problems: Problem[]): void {
  const entries = node.kind === 'map' ? node.entries : []
  for (const { key, place } of entries) {
    if (!OF_SIGNATURES.some((name) => name === key)) continue
    problems.push({ ...place, message: `${path}.${key}: says nothing where signature is off` })
  }
}

const POLICY = record({ version: wholeNumber(1, 1), rules: list(rule) }, ['version', 'rules'])

async function readCertificates(
  { certificates }: ShapedRule,
  read: CertificateReader,
  problems: Problem[],
): Promise<PolicyCertificate[] | undefined> {
  if (certificates === undefined) return undefined
  const found = await Promise.all(
    certificates.map(async ({ fingerprint, file, path, place }): Promise<PolicyCertificate[]> => {
      if (fingerprint !== undefined) {
        return [{ fingerprint: fingerprint.replaceAll(':', '').toLowerCase() }]
      }
      const content = file === undefined ? '' : await read(file)
      if (typeof content !== 'string') return [content]
      if (file !== undefined) problems.push({ ...place, message: `${path}.file: ${content}` })
      return []
    }),
  )
  return found.flat()
}
