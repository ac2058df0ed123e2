import { VolsealError } from '../../core/errors.js'
import type { Problem } from '../../core/yaml.js'
import {
  atPlace,
  checkPolicy,
  explainPolicy,
  type PolicyCheck,
  type PolicyExplanation,
  type PolicyRule,
} from '../../face/policy.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
} from '../cli.js'
import { FILE_CODES } from '../exit-codes.js'
import type { Outcome } from '../output.js'
import { SUBJECT_OPTIONS, type SubjectChoice } from '../policy-options.js'
import { counted, indent, rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('check', {
      summary: 'say what is wrong with a policy, or which of its rules an image falls under',
      example: 'volseal policy check policy.yaml --project 8d6e2a --image-name ubuntu-24.04',
      exitCodes: FILE_CODES,
    }).argument('<file>', 'the policy; - is stdin'),
    SUBJECT_OPTIONS,
  )
    .addOption(jsonOption())
    .action(act(cli, 'policy-check', async (file, options) => await check(cli, file, options)))

async function check(
  cli: Cli,
  file: string,
  { project, imageName, json }: SubjectChoice & { readonly json?: true | undefined },
): Promise<Outcome> {
  const found = await checkPolicy(file, cli.signal)
  if (json !== true) for (const warning of found.warnings) note(cli, atPlace(file, warning))
  if (found.problems.length > 0) return refused(found)
  if ((project ?? imageName) === undefined) {
    return { body: bodyOf(found), text: describePolicy(found) }
  }
  const explanation = explainPolicy({ name: file, rules: found.rules }, { project, imageName })
  const { rule, matched, considered } = explanation
  return {
    body: {
      ...bodyOf(found),
      applies: { ...ruleBody(rule), matched },
      considered: considered.map(({ rule: { name }, applies, why }) => ({
        rule: name,
        applies,
        why,
      })),
    },
    text: describeExplanation(explanation),
  }
}

function refused(found: PolicyCheck): Outcome {
  const { problems, policy } = found
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`
  const error = new VolsealError(
    'usage',
    `${policy} has ${count}, and is refused wherever it is used`,
  )
  const lines = problems.map((problem: Problem) => atPlace(policy, problem))
  return { body: bodyOf(found), text: lines.join('\n'), error }
}

function bodyOf({ policy, problems, warnings, rules }: PolicyCheck): object {
  return { policy, problems, warnings, rules: rules.map(ruleBody) }
}

/** A rule as the JSON shows it: the file's own words, all of them. */
function ruleBody(rule: PolicyRule): object {
  const { name, place, projects, images, signature } = rule
  return {
    name,
    line: place.line,
    projects: projects ?? null,
    images: images ?? null,
    signature,
    keyTypes: rule.keyTypes ?? null,
    minimumBits: rule.minimumBits === undefined ? null : Object.fromEntries(rule.minimumBits),
    certificates: rule.certificates?.map(({ fingerprint }) => fingerprint) ?? null,
    maximumAge: rule.maximumAge?.text ?? null,
    formats: rule.formats ?? null,
  }
}

function describePolicy({ policy, rules }: PolicyCheck): string {
  const lines = rules.map(
    (rule) => `${rule.name}: ${scopeOf(rule)}\n${indent(rows(demands(rule)))}`,
  )
  return [
    `${policy} is a policy of ${counted(rules.length, 'rule')}; the first that applies decides`,
    ...lines,
  ].join('\n')
}

function describeExplanation({ rule, matched, considered }: PolicyExplanation): string {
  const passed = considered.filter(({ applies }) => applies === 'no')
  const lines = passed.map(({ rule: { name }, why }) => `${name} does not apply: ${why}`)
  const deciding = considered.find(({ applies }) => applies === 'yes')
  const verdict = matched
    ? `${rule.name} applies: ${deciding?.why}`
    : 'no rule applies, so a signature is required, as without a policy'
  return [...lines, `${verdict}\n${indent(rows(demands(rule)))}`].join('\n')
}

function scopeOf({ projects, images }: PolicyRule): string {
  const words = [
    ...(projects === undefined ? [] : [`projects ${projects.join(', ')}`]),
    ...(images === undefined ? [] : [`images ${images.join(', ')}`]),
  ]
  return words.length === 0 ? 'all images' : words.join('; ')
}

function demands(rule: PolicyRule): [string, string | string[]][] {
  const { certificates, keyTypes, minimumBits, maximumAge, formats } = rule
  const sizes = [...(minimumBits ?? [])].map(([type, bits]) => `${type} ${bits} bits`)
  const listed = certificates?.map(({ fingerprint }) => fingerprint) ?? []
  const all: [string, string | string[]][] = [
    ['signature', rule.signature],
    ['key types', keyTypes?.join(', ') ?? ''],
    ['at least', sizes.join(', ')],
    ['certificates', listed],
    ['age', maximumAge === undefined ? '' : `at most ${maximumAge.text}`],
    ['formats', formats?.join(', ') ?? ''],
  ]
  return all.filter(([, value]) => value.length > 0)
}
