import { VolsealError } from '../core/errors.js'
import {
  type HeaderBytes,
  headerIn,
  requireCryptsetup,
  withHeaderFile,
} from '../encryptor/index.js'
import type { FetchedSecret, KeyManager } from '../keyfile/index.js'
import type { PropertyChange } from '../openstack/index.js'
import type { HeldImage } from '../verify/index.js'
import { checkKey, keyCheckError } from './check-volume.js'
import { madeSecret, type Undo } from './undo.js'
import { requireKeyType } from './volume-key.js'

/**
 * Images that are LUKS volumes, as cinder uploads encrypted volumes (`os-volume_upload_image`): the
 * ciphertext as it is, raw and bare, with the id of a copy of the key in the image's properties.
 */
export const KEY_ID = 'cinder_encryption_key_id'
const DELETION_POLICY = 'cinder_encryption_key_deletion_policy'
/** Glance then deletes the key with the image (glance/api/v2/images.py, `_delete_encryption_key`). */
const WITH_IMAGE = 'on_image_deletion'
const KEPT = 'do_not_delete'
/** What cinder's legacy key manager calls its only key (cinder/keymgr/conf_key_mgr.py). */
const FIXED_KEY_ID = '00000000-0000-0000-0000-000000000000'

/** Today's names, and those that are to come (cinder-specs, "Image encryption and decryption"). */
const NAMES: readonly (readonly [key: string, policy: string])[] = [
  [KEY_ID, DELETION_POLICY],
  ['os_encrypt_key_id', 'os_encrypt_key_deletion_policy'],
]

/** What an image says of its key. */
export interface ImageKey {
  readonly id: string
  /** Whether Glance deletes it with the image. */
  readonly goesWithImage: boolean
  /** The property that says so, if the image has it. */
  readonly policyProperty: string
  /** The fixed key of cinder's configuration, which is in no key manager and nobody deletes. */
  readonly isFixed: boolean
}

/** Whether a key id is that of cinder's fixed key, which cinder's API hides mostly. */
export function isFixedKey(id: string): boolean {
  return id === FIXED_KEY_ID
}

type Properties = Readonly<Record<string, string>>

/** The key of an encrypted image; undefined for all others. */
export function imageKeyOf({
  properties,
}: {
  readonly properties: Properties
}): ImageKey | undefined {
  const [keyProperty, policy] = NAMES.find(([name]) => (properties[name] ?? '') !== '') ?? []
  const id = keyProperty === undefined ? undefined : properties[keyProperty]
  if (id === undefined || policy === undefined) return undefined
  const goesWithImage = properties[policy] === WITH_IMAGE
  return { id, goesWithImage, policyProperty: policy, isFixed: isFixedKey(id) }
}

/** The properties of an image whose key is its own and goes with it. */
export function imageKeyProperties(keyId: string): Record<string, string> {
  return { [KEY_ID]: keyId, [DELETION_POLICY]: WITH_IMAGE }
}

/** The change that has Glance keep the key of an image that is deleted, or delete it again. */
export function policyChange(
  { policyProperty }: Pick<ImageKey, 'policyProperty'>,
  fate: 'keep' | 'delete',
): PropertyChange {
  const value = fate === 'keep' ? KEPT : WITH_IMAGE
  return { op: 'replace', property: policyProperty, value }
}

/** Property names that say which key goes with an image, of today's cinder and of the one to come. */
export const KEY_PROPERTIES: ReadonlySet<string> = new Set(NAMES.flat())

/** How the names of copies begin, which tells one of the type opaque from what it may be else. */
const COPY_NAME = 'volume key of '

const KEY_TYPES: readonly string[] = ['symmetric', 'passphrase']

/** Whether a secret is a key of a volume, as far as its type and name say: cinder's own, or a copy of ours. */
export function isVolumeKey({
  type,
  name,
}: {
  readonly type: string
  readonly name: string | null
}): boolean {
  return KEY_TYPES.includes(type) || (type === 'opaque' && name?.startsWith(COPY_NAME) === true)
}

/** The purpose of a copy that `write` makes for a volume: which volume that is, nobody but its owner knows. */
export const VOLUME_KEY = 'volume-key'

export interface EncryptedImage {
  /** How errors call the image. */
  readonly name: string
  readonly held: HeldImage
  readonly keyId: string
  readonly keyManager: KeyManager
  readonly signal?: AbortSignal | undefined
}

/**
 * Sees to it that an image is a LUKS volume whose header is acceptable and which the key opens: cinder
 * looks at neither, and a volume made of anything else is lost data or clear text. No bytes but those
 * that were verified are looked at.
 *
 * @throws {VolsealError} `image-unsafe` for what is no LUKS volume, `header-damaged`, `wrong-key`,
 * `not-found` for a key that is not there
 */
export async function requireEncrypted(image: EncryptedImage): Promise<void> {
  const { name, held, keyId } = image
  requireOwnKey(name, keyId)
  const header = await headerOf(image)
  await requireCryptsetup()
  const check = await withHeaderFile(
    header,
    held.size,
    async (file) => await checkKey({ ...file, path: name }, { ...image, device: name }),
  )
  const refusal = keyCheckError(check)
  if (refusal !== undefined) throw refusal
}

/** The largest pair of LUKS2 headers. */
const HEADERS_BYTES = 8 * 1024 * 1024

async function headerOf({ name, held }: EncryptedImage): Promise<HeaderBytes> {
  const facts = headerIn(await held.readAt(0, HEADERS_BYTES))
  if (facts !== undefined && facts.length <= held.size) {
    return { facts, bytes: await held.readAt(0, facts.length) }
  }
  throw new VolsealError(
    'image-unsafe',
    `${name}: expected a LUKS volume, as it has a key, found no whole LUKS header`,
    { hint: 'nothing was written; volseal inspect says what it is' },
  )
}

function requireOwnKey(name: string, keyId: string): void {
  if (!isFixedKey(keyId)) return
  throw new VolsealError(
    'not-found',
    `${name}: its key is the fixed key of cinder's configuration, which no key manager has`,
    {
      hint: 'store that key (secret put --type symmetric), and set cinder_encryption_key_id to its id',
    },
  )
}

/**
 * Keeps a second secret with the bytes of a key, as cinder does for each volume and image: whoever
 * deletes one of them deletes its key, and must not delete that of another.
 */
export async function cloneVolumeKey(
  { keyId, keyManager }: Pick<EncryptedImage, 'keyId' | 'keyManager'>,
  { of, purpose, neededBy }: KeyCopy,
  undo: Undo,
): Promise<string> {
  const source = await keyManager.fetch(keyId)
  try {
    requireKeyType(keyId, source.type)
    const metadata = purpose === undefined ? {} : { 'volseal-purpose': purpose }
    const named = { name: `${COPY_NAME}${of}`.slice(0, LONGEST_NAME), metadata }
    const id = await keyManager.store({ ...factsOf(source), ...named })
    // With an image that was taken back, Glance has deleted its key already.
    undo.add(madeSecret(keyManager, { id, what: 'the key', neededBy }))
    return id
  } finally {
    source.payload.wipe()
  }
}

/** A copy of a key. */
export interface KeyCopy {
  /** What it is the volume key of: `the image disk.raw`. */
  readonly of: string
  /** For whoever looks for secrets that nothing needs: what cannot be seen to need it. */
  readonly purpose?: string | undefined
  /** What may need it by the time it is taken back; undefined for nothing. */
  readonly neededBy?: ((id: string) => Promise<string | undefined>) | undefined
}

const LONGEST_NAME = 255

function factsOf({ type, algorithm, bitLength, contentType, payload }: FetchedSecret) {
  return {
    type,
    payload,
    contentType,
    algorithm: algorithm ?? undefined,
    bitLength: bitLength ?? undefined,
  }
}
