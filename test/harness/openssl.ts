import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type HashName, type KeyTypeName, keyType } from '../../src/core/algorithms.js'
import { run } from './run.js'

/** Signing keys and certificates made by openssl, and its verdicts: the peer of our signatures. */

export interface OpensslKey {
  readonly type: KeyTypeName
  readonly key: string
  readonly certificate: string
  readonly publicKey: string
}

/** Drawing parameters takes a second; those of one group serve all DSA keys (FIPS 186-4 §4.3). */
export const DSA_PARAMETERS: string = fileURLToPath(
  new URL('./dsa-parameters.pem', import.meta.url),
)

function generateCommand(name: KeyTypeName, out: string): string[] {
  const type = keyType(name)
  if (type.family === 'rsa') return ['genrsa', '-out', out, '2048']
  if (type.family === 'dsa') return ['gendsa', '-out', out, DSA_PARAMETERS]
  return ['ecparam', '-name', type.curve, '-genkey', '-noout', '-out', out]
}

/** A key and a self-signed certificate, made as the guides make them. */
export function makeOpensslKey(
  directory: string,
  type: KeyTypeName,
  name: string = type,
): OpensslKey {
  const path = (suffix: string): string => join(directory, `${name}${suffix}`)
  run('openssl', generateCommand(type, path('.key')))
  const request = [
    'req',
    '-new',
    '-x509',
    '-key',
    path('.key'),
    '-days',
    '14',
    '-subj',
    `/CN=${name}`,
  ]
  run('openssl', [...request, '-out', path('.crt')])
  run('openssl', ['pkey', '-in', path('.key'), '-pubout', '-out', path('.pub')])
  return { type, key: path('.key'), certificate: path('.crt'), publicKey: path('.pub') }
}

function digestOption(hash: HashName): string {
  return `-${hash.toLowerCase().replace('-', '')}`
}

function pssOptions(type: KeyTypeName, salt: string): string[] {
  if (type !== 'RSA-PSS') return []
  return ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', `rsa_pss_saltlen:${salt}`]
}

/** The raw signature of `openssl dgst -sign`. */
export function opensslSign(
  { key, type }: OpensslKey,
  hash: HashName,
  image: string,
  salt = 'max',
): Buffer {
  return run('openssl', [
    'dgst',
    digestOption(hash),
    '-sign',
    key,
    ...pssOptions(type, salt),
    image,
  ])
}

/** Whether `openssl dgst -verify` accepts, demanding the given salt. */
export function opensslVerifies(
  { publicKey, type }: OpensslKey,
  hash: HashName,
  image: string,
  signature: string,
  salt = 'max',
): boolean {
  const args = ['dgst', digestOption(hash), '-verify', publicKey, ...pssOptions(type, salt)]
  try {
    return run('openssl', [...args, '-signature', signature, image]).includes('Verified OK')
  } catch {
    return false
  }
}
