import { VolsealError } from '../../core/errors.js'
import type { Policy, PolicyRule, PolicySubject } from './policy.js'

/** Whether a rule applies to an image; `unknown` when that depends on what is not known of it. */
export interface Considered {
  readonly rule: PolicyRule
  readonly applies: 'yes' | 'no' | 'unknown'
  /** What decided it. */
  readonly why: string
}

/** Where no rule applies, as without a policy. */
export const NO_RULE: PolicyRule = {
  name: 'no rule',
  place: { line: 0, column: 0 },
  signature: 'required',
}

/** Looks at the rules in their order, up to the first that applies or may apply. */
export function considerRules({ rules }: Policy, subject: PolicySubject): Considered[] {
  const considered: Considered[] = []
  for (const rule of rules) {
    const found = consider(rule, subject)
    considered.push(found)
    if (found.applies !== 'no') break
  }
  return considered
}

/**
 * The rule that decides.
 *
 * @throws {VolsealError} `usage` when it depends on a project or name that is not known: a guess could
 * be the weaker rule
 */
export function ruleFor(policy: Policy, subject: PolicySubject): PolicyRule {
  const last = considerRules(policy, subject).at(-1)
  if (last === undefined || last.applies === 'no') return NO_RULE
  if (last.applies === 'yes') return last.rule
  throw new VolsealError('usage', `the policy ${policy.name} cannot be applied: ${last.why}`, {
    hint: 'name them with --project and --image-name, or give --properties with the output of: openstack image show -f json',
  })
}

interface Scope {
  /** How the value is called. */
  readonly what: string
  readonly patterns: readonly string[] | undefined
  readonly value: string | undefined
}

function consider(rule: PolicyRule, { project, imageName }: PolicySubject): Considered {
  const scopes: Scope[] = [
    { what: 'project', patterns: rule.projects, value: project },
    { what: 'image name', patterns: rule.images, value: imageName },
  ]
  const asked = scopes.filter(({ patterns }) => patterns !== undefined)
  const other = asked.find((scope) => scope.value !== undefined && matchOf(scope) === undefined)
  if (other !== undefined) {
    return {
      rule,
      applies: 'no',
      why: `the ${other.what} ${quoted(other.value)} is none of ${shown(other)}`,
    }
  }
  const unknown = asked.find(({ value }) => value === undefined)
  if (unknown !== undefined) {
    const why = `${rule.name} asks for the ${unknown.what}, which is not known`
    return { rule, applies: 'unknown', why }
  }
  const words = asked.map(
    (scope) => `the ${scope.what} ${quoted(scope.value)} is ${matchOf(scope)}`,
  )
  return {
    rule,
    applies: 'yes',
    why: words.length === 0 ? 'it is for all images' : words.join(', '),
  }
}

function matchOf({ patterns = [], value = '' }: Scope): string | undefined {
  return patterns.find((pattern) => matches(pattern, value))
}

function quoted(value = ''): string {
  return JSON.stringify(value)
}

function shown({ patterns = [] }: Scope): string {
  const more = patterns.length > 3 ? ` and ${patterns.length - 3} more` : ''
  return `${patterns.slice(0, 3).join(', ')}${more}`
}

/** A `*` stands for any characters, or none; all else for itself, in its case. */
export function matches(pattern: string, value: string): boolean {
  const [first = '', ...parts] = pattern.split('*')
  const last = parts.pop()
  if (last === undefined) return value === pattern
  if (!value.startsWith(first) || value.length < first.length + last.length) return false
  const end = value.length - last.length
  let at = first.length
  for (const part of parts) {
    const found = value.indexOf(part, at)
    if (found === -1 || found + part.length > end) return false
    at = found + part.length
  }
  return value.endsWith(last)
}
