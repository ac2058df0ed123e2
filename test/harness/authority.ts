import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.js'

/** Certificates and CRLs of every kind, right and wrong, made by openssl. */

/** Kinds of keys; node:crypto draws them sooner than a program starts. */
const KINDS = {
  p256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  explicit: () => generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }),
  sect571r1: () => generateKeyPairSync('ec', { namedCurve: 'sect571r1' }),
  secp256k1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  rsa1024: () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
  rsaPss: () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
  dsa: () => generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }),
  ed25519: () => generateKeyPairSync('ed25519'),
} as const satisfies Readonly<Record<string, () => KeyPairKeyObjectResult>>

export type Kind = keyof typeof KINDS

/** The extensions of a good CA and a good signer, as `openssl x509 -extfile` takes them. */
export const CA = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
export const SIGNER = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature']
const KEY_IDS = ['subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid,issuer']

export interface Issued {
  readonly pem: Buffer
  readonly path: string
  readonly subject: string
  /** The private key's file. */
  readonly key: string
}

export interface Order {
  /** `/O=Example/CN=signer`, or only its common name. */
  readonly subject: string
  /** A CA, or what it lacks; itself when not given. */
  readonly issuer?: Issued | undefined
  readonly extensions?: readonly string[]
  /** A kind of new key, or the key of another certificate; P-256 when not given. */
  readonly key?: Kind | Issued
  readonly digest?: string
  readonly serial?: string
  /** The identifiers of its key and its issuer's; both when not given. */
  readonly keyIds?: readonly string[]
  /** Further options of `openssl x509`. */
  readonly options?: readonly string[]
}

export class Authority {
  readonly #directory: string
  #count = 0

  constructor(directory: string) {
    this.#directory = directory
  }

  path(name: string): string {
    this.#count += 1
    return join(this.#directory, `${this.#count}-${name}`)
  }

  /** Valid from now on for a hundred years. */
  issue(order: Order): Issued {
    const { subject, issuer, key = 'p256', digest = 'sha256', options = [] } = order
    const keyFile = typeof key === 'string' ? this.makeKey(key) : key.key
    const path = this.path('cert.pem')
    const extensions = this.path('extensions')
    writeFileSync(
      extensions,
      [...(order.keyIds ?? KEY_IDS), ...(order.extensions ?? CA)].join('\n'),
    )
    const name = subject.startsWith('/') ? subject : `/CN=${subject}`
    const by =
      issuer === undefined
        ? ['-key', keyFile]
        : ['-force_pubkey', `${keyFile}.pub`, '-CA', issuer.path, '-CAkey', issuer.key]
    const bare = order.extensions?.length === 0 ? [] : ['-extfile', extensions]
    const serial = ['-set_serial', order.serial ?? String(this.#count + 1000)]
    const rest = ['-days', '36500', '-out', path, `-${digest}`, ...serial, ...bare, ...options]
    run('openssl', ['x509', '-new', '-subj', name, ...by, ...rest])
    return { pem: readFileSync(path), path, subject: name, key: keyFile }
  }

  /** Makes a private key, and beside it the public one. */
  makeKey(kind: Kind): string {
    const path = this.path('key.pem')
    const { privateKey, publicKey } = KINDS[kind]()
    writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    writeFileSync(`${path}.pub`, publicKey.export({ type: 'spki', format: 'pem' }))
    return path
  }

  /** A CRL, PEM, current for thirty days from now. */
  revoke(
    issuer: Issued,
    revoked: readonly Issued[],
    extensions: readonly string[] = [],
    options: readonly string[] = [],
  ): Buffer {
    const [index, config, out] = [this.path('index'), this.path('conf'), this.path('crl.pem')]
    writeFileSync(index, revoked.map((certificate) => `${revokedLine(certificate)}\n`).join(''))
    const extend = extensions.length === 0 ? '' : `crl_extensions=extend\n[extend]\n`
    writeFileSync(
      config,
      `[ca]\ndefault_ca=here\n[here]\ndatabase=${index}\n${extend}${extensions.join('\n')}\n`,
    )
    const by = ['-cert', issuer.path, '-keyfile', issuer.key, '-out', out]
    const days = options.length === 0 ? ['-crldays', '30'] : options
    run('openssl', ['ca', '-gencrl', '-config', config, '-md', 'sha256', ...by, ...days])
    return readFileSync(out)
  }
}

/** A line of openssl's database: R, expiry, when it was revoked, serial number, file, subject. */
function revokedLine({ path, subject }: Issued): string {
  const serial = run('openssl', ['x509', '-in', path, '-noout', '-serial']).toString().trim()
  return `R\t491231235959Z\t200101000000Z\t${serial.replace('serial=', '')}\tunknown\t${subject}`
}

export interface Judged {
  readonly signer: Issued
  readonly trusted: readonly Issued[]
  readonly untrusted?: readonly Issued[]
  readonly crls?: readonly Buffer[]
  readonly at?: Date
}

/** Whether `openssl verify` accepts; any certificate that is trusted is an anchor there too. */
export function opensslAccepts(authority: Authority, judged: Judged, ...more: string[]): boolean {
  const bundle = (certificates: readonly { readonly pem: Buffer }[]): string => {
    const path = authority.path('bundle.pem')
    writeFileSync(path, Buffer.concat(certificates.map(({ pem }) => pem)))
    return path
  }
  const crls = (judged.crls ?? []).map((pem) => ({ pem }))
  const args = [
    '-partial_chain',
    '-CAfile',
    bundle(judged.trusted),
    ...((judged.untrusted ?? []).length === 0
      ? []
      : ['-untrusted', bundle(judged.untrusted ?? [])]),
    ...(crls.length === 0 ? [] : ['-CRLfile', bundle(crls), '-crl_check_all']),
    ...(judged.at === undefined ? [] : ['-attime', String(Math.floor(judged.at.getTime() / 1000))]),
  ]
  try {
    run('openssl', ['verify', ...args, ...more, judged.signer.path])
    return true
  } catch (error) {
    if (String(error).includes('verification failed')) return false
    throw error
  }
}
