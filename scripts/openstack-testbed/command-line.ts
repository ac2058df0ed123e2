import { parseArgs } from 'node:util'
import { usage } from '../harness/options.js'
import type { Choices } from './settings.js'
import type { KeyManagerName } from './testbed.js'

/** The command line of scripts/testbed. */

export const USAGE = `usage: scripts/testbed up DIR [--with swift|fresh-tokens]... [--key-manager barbican|conf] [--fixed-key HEX|none]
                            [--owner PID]
       scripts/testbed status DIR [--json]
       scripts/testbed restart-cinder DIR [--key-manager barbican|conf] [--fixed-key HEX|none]
       scripts/testbed role DIR add|remove USER ROLE
       scripts/testbed down DIR [--purge]`

const OPTIONS = {
  with: { type: 'string', multiple: true },
  'key-manager': { type: 'string' },
  'fixed-key': { type: 'string' },
  owner: { type: 'string' },
  json: { type: 'boolean' },
  purge: { type: 'boolean' },
} as const

export type OptionName = keyof typeof OPTIONS
export type Values = ReturnType<typeof parse>['values']

export interface CommandLine {
  readonly command: string
  readonly directory: string
  readonly operands: readonly string[]
  readonly values: Values
}

/** Reads it, or says what is wrong with it and ends. */
export function readCommandLine(): CommandLine {
  const { values, positionals } = parsed()
  const [command = '', directory = '', ...operands] = positionals
  // The shell script has looked for the directory there.
  if (directory === '' || directory !== process.argv[3]) return usage(USAGE)
  return { command, directory, operands, values }
}

function parsed(): ReturnType<typeof parse> {
  try {
    return parse()
  } catch (error) {
    return usage(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
  }
}

function parse() {
  return parseArgs({ options: OPTIONS, allowPositionals: true })
}

const EXTRAS: readonly string[] = ['swift', 'fresh-tokens']

/** What is to be chosen for a test bed; what is not named stays as it is. */
export function choicesOf(values: Values): Choices {
  const { with: extras = [], 'key-manager': keyManager, 'fixed-key': fixedKey } = values
  const strange = extras.find((extra) => !EXTRAS.includes(extra))
  if (strange !== undefined) usage(`--with: expected ${EXTRAS.join(' or ')}, got ${strange}`)
  return {
    ...(extras.includes('swift') ? { swift: true } : {}),
    ...(extras.includes('fresh-tokens') ? { freshTokens: true } : {}),
    ...(keyManager === undefined ? {} : { keyManager: keyManagerName(keyManager) }),
    ...(fixedKey === undefined ? {} : { fixedKey: fixedKeyOf(fixedKey) }),
  }
}

function keyManagerName(value: string): KeyManagerName {
  if (value === 'barbican' || value === 'conf') return value
  return usage(`--key-manager: expected barbican or conf, got ${value}`)
}

/** It may be a real one, so it is not repeated in the error. */
function fixedKeyOf(value: string): string | null {
  if (value === 'none') return null
  if (/^(?:[0-9a-f]{2})+$/i.test(value)) return value
  return usage('--fixed-key: expected an even number of hex digits, or none')
}
