import { InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { readSmallFile } from '../core/byte-source.js'
import { isUuid } from '../core/check.js'
import { readTime } from '../core/time-text.js'
import type { SecretSource } from '../face/key-store.js'
import { requireCertificates, requireRevocationLists, type TrustOptions } from '../face/trust.js'
import { type Cli, collect } from './cli.js'

/** The options that say who vouches for a certificate. */
export interface TrustChoice {
  readonly trusted?: string[] | undefined
  readonly untrusted?: string[] | undefined
  readonly crl?: string[] | undefined
  readonly at?: Date | undefined
}

export const TRUST_OPTIONS: readonly Option[] = [
  new Option(
    '--trusted <cert>',
    'file or id: the certificate itself, or a CA above it; repeatable',
  ).argParser(collect),
  new Option(
    '--untrusted <cert>',
    'file or id: a CA between it and a trusted one; repeatable',
  ).argParser(collect),
  new Option('--crl <file>', "a CA's revocation list, PEM or DER; repeatable").argParser(collect),
  new Option('--at <time>', 'judge as at that time: 2026-01-31, or with T12:00:00Z').argParser(
    parseTime,
  ),
]

function parseTime(text: string): Date {
  const time = readTime(text)
  if (time !== undefined) return time
  throw new InvalidArgumentError('expected 2026-01-31 or, with its zone, 2026-01-31T12:00:00Z')
}

/** Reads what they name. */
export async function trustOptions(
  cli: Cli,
  { trusted = [], untrusted = [], crl = [], at }: TrustChoice,
  secrets: SecretSource,
): Promise<TrustOptions> {
  return {
    trusted: await certificates(cli, trusted, secrets),
    untrusted: await certificates(cli, untrusted, secrets),
    crls: await Promise.all(
      crl.map(async (path) =>
        requireRevocationLists(await readSmallFile(path, 'CRL', cli.signal), path),
      ),
    ),
    at,
  }
}

async function certificates(
  cli: Cli,
  named: readonly string[],
  secrets: SecretSource,
): Promise<Buffer[]> {
  return await Promise.all(
    named.map(async (name) => requireCertificates(await contentOf(cli, name, secrets), name)),
  )
}

async function contentOf(cli: Cli, name: string, secrets: SecretSource): Promise<Buffer> {
  if (!isUuid(name)) return await readSmallFile(name, 'certificate', cli.signal)
  const { payload } = await secrets.fetch(name)
  return payload.bytes()
}
