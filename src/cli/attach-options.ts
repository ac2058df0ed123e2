import { Option } from '@commander-js/extra-typings'
import { readSmallFile } from '../core/byte-source.js'
import { json, record, text } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import { type AttachOptions, formatOf, NO_KEY_ID } from '../face/attach.js'
import type { SecretInfo, SecretSource } from '../face/key-store.js'
import type { Cli, OptionGroup } from './cli.js'
import { type KeyManagerChoice, withLazyKeyManager } from './key-manager-options.js'
import { VOLUME_OPTIONS, type VolumeChoice, volumeChoice } from './volume-options.js'

const CONNECTION_INFO = new Option(
  '--connection-info <file>',
  "cinder's connection_info as JSON, instead of the device",
)

export const CONNECTION_OPTIONS: OptionGroup<Pick<AccessChoice, 'connectionInfo'>> = {
  options: [CONNECTION_INFO],
}

/** The options that name a volume's key and how it is encrypted. */
export interface AccessChoice extends VolumeChoice {
  readonly connectionInfo?: string | undefined
  readonly encryption?: string | undefined
  readonly provider?: string | undefined
  readonly keyId?: string | undefined
  readonly fromToken?: string | undefined
  readonly keyFile?: string | undefined
  readonly keyType?: 'symmetric' | 'passphrase' | undefined
  readonly plainHash?: string | undefined
}

export const ACCESS_OPTIONS: OptionGroup<AccessChoice> = {
  options: [
    CONNECTION_INFO,
    new Option('--encryption <file>', "cinder's encryption metadata as JSON"),
    new Option('--provider <name>', 'luks, luks2, plain or an old name; else what the header says'),
    new Option('--key-id <id>', 'the key in the key manager'),
    new Option('--from-token <volume-id>', 'the key that the header names, if for that volume'),
    new Option('--key-file <file>', "the key's bytes instead; - is stdin"),
    new Option('--key-type <type>', 'of --key-file').choices(['symmetric', 'passphrase']),
    new Option('--plain-hash <hash>', 'hash of plain dm-crypt (default ripemd160)'),
    ...VOLUME_OPTIONS.options,
  ],
}

/**
 * The volume as cinder names it, for which everything else comes from `--encryption`; undefined when
 * a device is named.
 *
 * @throws {VolsealError} `usage` for both, or neither
 */
export async function readConnectionInfo(
  cli: Cli,
  device: string | undefined,
  { connectionInfo }: Pick<AccessChoice, 'connectionInfo'>,
): Promise<unknown> {
  if ((device === undefined) !== (connectionInfo === undefined)) {
    return connectionInfo === undefined ? undefined : await readJson(cli, connectionInfo)
  }
  throw new VolsealError(
    'usage',
    'which volume? expected a device or --connection-info FILE, one of the two',
  )
}

async function readJson({ signal }: Cli, path: string): Promise<unknown> {
  const content = await readSmallFile(path, 'JSON file', signal)
  return json(content.toString('utf8'), path)
}

/** The encryption metadata, with what the options say instead. */
export async function readMetadata(
  cli: Cli,
  choice: AccessChoice,
): Promise<Record<string, unknown>> {
  const { encryption, provider } = choice
  if (encryption !== undefined && choice.connectionInfo === undefined) {
    throw new VolsealError('usage', '--encryption belongs to --connection-info', {
      hint: 'for a device say --provider, --cipher and --key-size',
    })
  }
  const read = encryption === undefined ? {} : await readJson(cli, encryption)
  return { ...record(read, encryption ?? 'encryption'), ...(provider && { provider }) }
}

/** A device's volume, as the library takes it. */
export function deviceOptions(
  choice: AccessChoice,
): Pick<AttachOptions, 'provider' | 'plain' | keyof VolumeChoice> {
  const { provider } = choice
  const format = provider === undefined ? undefined : formatOf(provider)
  if (format === 'none') {
    throw new VolsealError('no-device', `the provider ${provider} encrypts nothing: nothing to do`)
  }
  return { provider: format, ...connectionOptions(choice) }
}

/** The same of a volume that cinder names, whose provider is in the metadata. */
export function connectionOptions(
  choice: AccessChoice,
): Pick<AttachOptions, 'plain' | keyof VolumeChoice> {
  return { plain: { hash: choice.plainHash }, ...volumeChoice(choice) }
}

/** @throws {VolsealError} `usage` for an option that has no effect beside another one */
export function refuseBeside(other: string, given: Readonly<Record<string, unknown>>): void {
  const stray = Object.keys(given).find(
    (name) => given[name] !== undefined && given[name] !== false,
  )
  if (stray === undefined) return
  throw new VolsealError('usage', `${stray} has no effect with ${other}: leave one of the two out`)
}

/** A key, and where it comes from. */
export interface KeySource {
  readonly keyId: string | undefined
  readonly fromToken: string | undefined
  readonly keyManager: SecretSource
}

/**
 * Where keys come from: the key manager, or the one file that is named. The id of a key in a file is
 * that of the metadata, or of `--key-id`.
 */
export async function withKeySource<T>(
  cli: Cli,
  choice: AccessChoice & KeyManagerChoice & { readonly firstUse?: string | undefined },
  metadata: Readonly<Record<string, unknown>> | undefined,
  use: (source: KeySource) => Promise<T>,
): Promise<T> {
  const { keyFile, keyType, keyId, fromToken, firstUse } = choice
  if (fromToken !== undefined && (keyFile ?? keyId) !== undefined) {
    throw new VolsealError('usage', '--from-token excludes --key-id and --key-file: which key?')
  }
  if (keyFile === undefined) {
    if (keyType !== undefined) throw new VolsealError('usage', '--key-type belongs to --key-file')
    const secrets = async (keyManager: SecretSource): Promise<T> =>
      await use({ keyId, fromToken, keyManager })
    return await withLazyKeyManager(cli, choice, secrets)
  }
  const id = keyId ?? metadata?.['encryption_key_id']
  if (firstUse !== undefined && id === undefined) {
    throw new VolsealError(
      'usage',
      '--first-use writes into the volume which key opens it: expected --key-id too',
    )
  }
  const payload = new Secret(await readSmallFile(keyFile, 'key', cli.signal))
  try {
    const keyManager = fileSource(payload, keyType ?? 'symmetric')
    return await use({ keyId: text(id ?? NO_KEY_ID, 'encryption_key_id'), fromToken, keyManager })
  } finally {
    payload.wipe()
  }
}

function fileSource(payload: Secret, type: 'symmetric' | 'passphrase'): SecretSource {
  const describe = (id: string): SecretInfo => ({
    id,
    type,
    name: null,
    algorithm: null,
    bitLength: payload.length * 8,
    created: new Date().toISOString(),
    contentType: 'application/octet-stream',
    metadata: {},
    origin: 'stored',
  })
  return {
    fetch: async (id) => await Promise.resolve({ ...describe(id), payload: payload.copy() }),
    describe: async (id) => await Promise.resolve(describe(id)),
  }
}
