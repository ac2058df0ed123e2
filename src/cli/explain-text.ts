import type { Acceptance, Cause, VerifyReport } from '../face/verify.js'
import { exitCodeOf } from './exit-codes.js'
import { indent, rows, table } from './text.js'

/** A verdict with its explanation, for people. */
export function explainedText(report: VerifyReport): string {
  const { explanation } = report
  if (explanation === undefined) return headline(report)
  return [
    headline(report),
    ...facts(report),
    '',
    checksTable(report.checks),
    ...pathText(report),
    '',
    'Who accepts it',
    indent(rows(acceptances(explanation.acceptedBy))),
    ...whyText(explanation.causes),
  ].join('\n')
}

/** From the signer to the trusted certificate: what was looked at in each. */
function pathText({ path }: VerifyReport): string[] {
  return (path ?? []).flatMap(({ role, subject, checks }) => [
    '',
    `${role} ${subject}`,
    checksTable(checks),
  ])
}

function checksTable(checks: VerifyReport['checks'] | Path[number]['checks']): string {
  const lines = checks.map(({ name, result, expected, found, source }) => [
    result,
    name,
    shortened(expected),
    shortened(found),
    source,
  ])
  return table(['CHECK', 'OF', 'EXPECTED', 'FOUND', 'SOURCE'], lines)
}

/** Digests of 64 bytes would push the rest off the screen; the JSON has them whole. */
function shortened(value: string | null): string {
  return (value ?? '').replaceAll(/\b([0-9a-f]{16})[0-9a-f]{48,}\b/g, '$1…')
}

type Path = NonNullable<VerifyReport['path']>

/** The lines that nova, cinder and glance would log. */
export function serviceLogText({ explanation }: VerifyReport): string {
  const lines = explanation?.serviceLog ?? []
  return lines.map(({ level, logger, message }) => `${level} ${logger} [-] ${message}`).join('\n')
}

function headline({ image, verdict, profile }: VerifyReport): string {
  const rules = profile === 'strict' ? '' : ` by the rules of ${profile}`
  if (verdict === 'accepted') return `accepted ${image}${rules}`
  if (verdict === 'not-required') return `not verified, and need not be: ${image}`
  return `refused ${image}${rules}: ${verdict} (exit code ${exitCodeOf(verdict)})`
}

function facts(report: VerifyReport): string[] {
  const { certificate, policy } = report
  const known: (readonly [string, string | null])[] = [
    ['signature', signatureLine(report)],
    ['key', report.curve ?? (report.keyBits === null ? null : `${report.keyBits} bits`)],
    ['digest', report.digest],
    ['size', report.size === null ? null : `${report.size} bytes`],
    ['certificate', certificate === null ? null : `${certificate.subject} (${report.trust})`],
    ['valid', certificate === null ? null : `${certificate.notBefore} to ${certificate.notAfter}`],
    ['fingerprint', certificate?.fingerprint ?? null],
    ['policy', policy === null ? null : `${policy.rule} (signature ${policy.signature})`],
  ]
  const told = known.flatMap(([label, value]): [string, string][] =>
    value === null ? [] : [[label, value]],
  )
  return told.length === 0 ? [] : [indent(rows(told))]
}

function signatureLine(report: VerifyReport): string | null {
  const { keyType, hash, explanation, saltLengthExpected, verdict } = report
  if (verdict === 'not-required') return 'not asked for by the policy, so nothing was verified'
  if (keyType === null && hash === null) return null
  const found = explanation?.signature?.saltLength ?? null
  const salt = found === null ? '' : `, salt ${found} of ${saltLengthExpected}`
  return `${keyType ?? 'no known key type'}, ${hash ?? 'no known hash'}${salt}`
}

/** Verifiers that say the same share a line: those of one cryptography, then those of both. */
function acceptances(all: readonly Acceptance[]): [label: string, said: string][] {
  const byCryptography = groupBy(all, (one) => `${one.cryptography ?? ''} ${answer(one)}`)
  const groups = [...byCryptography.values()].map((group) => ({
    verifiers: group.map(({ verifier }) => verifier).join(', '),
    cryptography: group[0]?.cryptography ?? null,
    said: group[0] === undefined ? '' : answer(group[0]),
  }))
  const alike = groupBy(groups, ({ verifiers, said }) => `${verifiers} ${said}`)
  return [...alike.values()].flatMap(([first, second]) => {
    if (first === undefined) return []
    const { verifiers, cryptography, said } = first
    const isAny = cryptography === null || second !== undefined
    return [[isAny ? verifiers : `${verifiers} (cryptography ${cryptography})`, said]]
  })
}

/** Groups in the order of their first members. */
function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    groups.set(key(item), [...(groups.get(key(item)) ?? []), item])
  }
  return groups
}

function answer({ verdict, reason, condition }: Acceptance): string {
  const words = { accepts: 'accepts', refuses: 'refuses', unknown: 'unknown' }
  const said = verdict === 'unsigned' ? 'takes it as unsigned' : words[verdict]
  const more = [reason, condition].filter((part) => part !== null)
  return more.length === 0 ? said : `${said}: ${more.join('; ')}`
}

function whyText(causes: readonly Cause[]): string[] {
  if (causes.length === 0) return []
  const texts = causes.map(({ message, remedy }) => [
    indent(`- ${message}`),
    ...remedy.map((command) => `      ${command}`),
  ])
  return ['', 'What there is to say', ...texts.flat()]
}
