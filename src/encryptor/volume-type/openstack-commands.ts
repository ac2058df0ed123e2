import type { TypeEncryption } from './encryption-spec.js'

/** A volume type, as far as the `openstack` client can make one. */
export interface TypeToMake {
  readonly name: string
  readonly description?: string | null | undefined
  readonly isPublic?: boolean | undefined
  /** Such as `volume_backend_name`; the client calls them properties. */
  readonly extraSpecs?: Readonly<Record<string, string>> | undefined
}

/** `openstack volume type create …`, for a shell. */
export function createCommand(
  { name, description, isPublic, extraSpecs = {} }: TypeToMake,
  spec: TypeEncryption | undefined,
): string {
  return shellLine([
    'openstack',
    'volume',
    'type',
    'create',
    ...(description ? ['--description', description] : []),
    ...(isPublic === false ? ['--private'] : []),
    ...Object.entries(extraSpecs).flatMap(([key, value]) => ['--property', `${key}=${value}`]),
    ...encryptionArgs(spec),
    ...operand(name),
  ])
}

/** `openstack volume type set …`, which cinder refuses once a volume has the type. */
export function setCommand(name: string, spec: TypeEncryption): string {
  return shellLine([
    'openstack',
    'volume',
    'type',
    'set',
    ...encryptionArgs(spec),
    ...operand(name),
  ])
}

/** Gives a private type to a project. */
export function accessCommand(name: string, projectId: string): string {
  return shellLine(['openstack', 'volume', 'type', 'set', '--project', projectId, ...operand(name)])
}

function encryptionArgs(spec: TypeEncryption | undefined): string[] {
  if (spec === undefined) return []
  const { provider, cipher, keySize, controlLocation } = spec
  return [
    '--encryption-provider',
    provider,
    ...(cipher === null ? [] : ['--encryption-cipher', cipher]),
    ...(keySize === null ? [] : ['--encryption-key-size', String(keySize)]),
    '--encryption-control-location',
    controlLocation,
  ]
}

/** A name may look like an option. */
function operand(name: string): string[] {
  return name.startsWith('-') ? ['--', name] : [name]
}

function shellLine(words: readonly string[]): string {
  return words.map(shellWord).join(' ')
}

/** A word as sh(1) reads it back. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
