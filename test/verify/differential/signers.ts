import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HASH_METHODS, KEY_TYPES } from '../../../src/core/algorithms.js'
import { maxSaltLength } from '../../../src/core/emsa-pss.js'
import { DSA_PARAMETERS } from '../../harness/openssl.js'
import { run } from '../../harness/run.js'
import type { Signer } from './case.js'

interface Row {
  readonly name: string
  readonly keyTypes: readonly string[]
  /** How openssl makes it; `-out FILE` is put behind the first word. */
  readonly command: readonly string[]
  /** Bits of an RSA key, which not every hash fits into. */
  readonly bits?: number
  readonly days?: number
}

const rsa = (bits: number): Row => ({
  name: `rsa-${bits}`,
  keyTypes: ['RSA-PSS'],
  command: ['genrsa', String(bits)],
  bits,
})

const ec = (curve: string, keyTypes: readonly string[]): Row => ({
  name: curve,
  keyTypes,
  command: ['ecparam', '-name', curve, '-genkey', '-noout'],
})

/** cursive compares no curve with the key type's, so that these have several names. */
const ECC_NAMES = KEY_TYPES.filter(({ family }) => family === 'ec').map(({ name }) => name)

const ROWS: readonly Row[] = [
  rsa(2048),
  rsa(3072),
  // EM is a byte shorter than the modulus (RFC 8017 §9.1.1).
  rsa(2049),
  rsa(1024),
  rsa(512),
  { ...rsa(2048), name: 'rsa-expired', days: -1 },
  {
    name: 'id-RSASSA-PSS',
    keyTypes: ['RSA-PSS'],
    command: ['genpkey', '-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
    bits: 2048,
  },
  { name: 'dsa-2048', keyTypes: ['DSA'], command: ['gendsa', DSA_PARAMETERS] },
  ...KEY_TYPES.flatMap((type) => (type.family === 'ec' ? [ec(type.curve, [type.name])] : [])),
  ec('prime256v1', ECC_NAMES),
  ec('secp256k1', ECC_NAMES),
]

/** Keys of every type and some odd ones, with certificates made as the guides make them. */
export function makeSigners(directory: string): Signer[] {
  return ROWS.map((row) => makeSigner(directory, row))
}

function makeSigner(directory: string, { name, keyTypes, command, bits, days = 9 }: Row): Signer {
  const path = (suffix: string): string => join(directory, `${name}${suffix}`)
  const [program = '', ...args] = command
  run('openssl', [program, '-out', path('.key'), ...args])
  run('openssl', ['req', '-new', '-key', path('.key'), '-subj', '/CN=x', '-out', path('.csr')])
  const issue = ['x509', '-req', '-in', path('.csr'), '-signkey', path('.key')]
  run('openssl', [...issue, '-days', String(days), '-out', path('.crt')])
  const fitting = HASH_METHODS.filter(
    (hash) => bits === undefined || maxSaltLength(bits, hash) >= 0,
  )
  return {
    name,
    keyTypes,
    hashes: fitting.map((hash) => hash.name),
    key: readFileSync(path('.key')),
    certificate: readFileSync(path('.crt')),
  }
}
