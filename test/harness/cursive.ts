import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('./ask_cursive.py', import.meta.url))
const BARBICAN = fileURLToPath(new URL('./ask_cursive_barbican.py', import.meta.url))
const TRUST = fileURLToPath(new URL('./ask_cursive_trust.py', import.meta.url))
const DECODERS = fileURLToPath(new URL('./ask_decoders.py', import.meta.url))
/** Debian's python3; another one in PATH does not see Debian's packages. */
const PYTHON = '/usr/bin/python3'

export const hasCursive: boolean = spawnSync(PYTHON, ['-c', 'import cursive']).status === 0

/** Of the installed python-cryptography; 0 where there is none. */
export const cryptographyMajor: number = Number(
  spawnSync(PYTHON, ['-c', 'import cryptography; print(cryptography.__version__.split(".")[0])'])
    .stdout.toString()
    .trim(),
)

/** cursive's test for a signature; cryptography >= 42 takes every salt (see PSS.MAX_LENGTH there). */
export const cursiveTakesAnySalt: boolean = hasCursive && cryptographyMajor >= 42

export interface CursiveRequest {
  readonly certificate: string
  /** Null for a property that is missing, here and below. */
  readonly signature: string | null
  readonly hash: string | null
  readonly keyType: string | null
  readonly certificateId?: string | null
  readonly image: string
}

export type CursiveAnswer = { readonly ok: true } | { readonly ok: false; readonly error: string }

/** What the real cursive says of each image, in order. */
export function askCursive(requests: readonly CursiveRequest[]): CursiveAnswer[] {
  return ask(
    SCRIPT,
    requests.map((request) => JSON.stringify(request)),
  )
}

/** The same through castellan and barbicanclient: requests as `ask_cursive_barbican.py` says. */
export function askCursiveOfBarbican(requests: readonly string[]): CursiveAnswer[] {
  return ask(BARBICAN, requests)
}

/** What nova's validation says of a certificate and those that it is told to trust. */
export interface PathAnswer {
  readonly outcome: 'accept' | 'refuse' | 'crash' | 'endless'
  readonly message?: string
  readonly error?: string
}

/** All PEM; nova calls a certificate by its place in the list. */
export interface PathRequest {
  readonly signer: string
  readonly certificates: readonly string[]
}

export function askCursiveTrust(requests: readonly PathRequest[]): PathAnswer[] {
  return ask(
    TRUST,
    requests.map((request) => JSON.stringify(request)),
  )
}

/** One process answers all: Python takes a second to load cursive. */
function ask<Answer>(script: string, requests: readonly string[]): Answer[] {
  const input = requests.map((request) => `${request}\n`).join('')
  const result = spawnSync(PYTHON, [script], { input, maxBuffer: 64 * 1024 * 1024 })
  if (result.status !== 0) throw new Error(result.stderr.toString())
  return result.stdout
    .toString()
    .trim()
    .split('\n')
    .map((line): Answer => JSON.parse(line))
}

/** What the services' Python makes of base64 (hex, or null for an error), and of PEM (DER as hex). */
export function askPython(
  what: 'base64' | 'certificate',
  texts: readonly string[],
): (string | null)[] {
  const input = JSON.stringify({ what, texts })
  const result = spawnSync(PYTHON, [DECODERS], { input, maxBuffer: 64 * 1024 * 1024 })
  if (result.status !== 0) throw new Error(result.stderr.toString())
  return JSON.parse(result.stdout.toString())
}
