import { record, text } from '../../core/check.js'
import { understood } from '../http/answer.js'
import { hasStatus } from '../http/service-error.js'
import type { CallOptions, Explain, ServiceRequest, Session } from '../session.js'
import {
  type EncryptionSpec,
  forAdministrators,
  listOf,
  optional,
  readAccess,
  readSpec,
  readType,
  texts,
  type VolumeType,
} from './volume-type.js'

/** A volume as cinder describes it (Block Storage API v3). */
export interface CinderVolume {
  readonly id: string
  readonly name: string | null
  readonly status: string
  /** GiB. */
  readonly size: number
  /** The type's name. */
  readonly type: string | null
  readonly isEncrypted: boolean
  /**
   * The key's id in the key manager. Null for volumes without one, and for those whose key is the
   * legacy fixed one: cinder hides its id of zeros here, not in `VolumeEncryption`.
   */
  readonly keyId: string | null
  /** What the volume has of the image it was made from; `signature_verified` among it. */
  readonly imageMetadata: Readonly<Record<string, string>>
}

/** A backup of a volume. */
export interface CinderBackup {
  readonly id: string
  readonly name: string | null
  /**
   * Of a backup of its own key, which is a copy of the volume's; null as `CinderVolume.keyId` is, and
   * undefined where cinder does not tell it.
   */
  readonly keyId: string | null | undefined
}

/** How a volume is encrypted, as nova and os-brick are told. */
export interface VolumeEncryption extends EncryptionSpec {
  /** Null of a volume that is not encrypted. */
  readonly keyId: string | null
}

const PAGE = 100
/** From here on volumes name their keys. */
const WITH_KEY_ID = { 'OpenStack-API-Version': 'volume 3.64' } as const

/** cinder's Block Storage API v3. Errors are those of `Session.send`. */
export class Cinder {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async volume(id: string, { signal }: CallOptions = {}): Promise<CinderVolume> {
    const request = { ...get('volumes', id), attempt: `show the volume ${id}`, signal }
    try {
      return volumeIn(await this.#json({ ...request, headers: WITH_KEY_ID }))
    } catch (error) {
      if (!hasStatus(error, 406)) throw error
      return await this.#withKey(volumeIn(await this.#json(request)), signal)
    }
  }

  /** The project's volumes; all projects' for administrators who ask for them. */
  async *volumes({
    allProjects = false,
    signal,
  }: CallOptions & { readonly allProjects?: boolean } = {}): AsyncGenerator<CinderVolume> {
    const options = { allProjects, signal }
    try {
      yield* this.#pages('volumes', readVolume, { ...options, headers: WITH_KEY_ID })
    } catch (error) {
      // cinder before Wallaby names the keys of volumes one by one only.
      if (!hasStatus(error, 406)) throw error
      for await (const volume of this.#pages('volumes', readVolume, options)) {
        yield await this.#withKey(volume, signal)
      }
    }
  }

  /** The project's backups; all projects' for administrators who ask for them. */
  async *backups({
    allProjects = false,
    signal,
  }: CallOptions & { readonly allProjects?: boolean } = {}): AsyncGenerator<CinderBackup> {
    const options = { allProjects, signal }
    try {
      yield* this.#pages('backups', readBackup, { ...options, headers: WITH_KEY_ID })
    } catch (error) {
      // cinder before Wallaby has no call that names the keys of backups.
      if (!hasStatus(error, 406)) throw error
      for await (const { id, name } of this.#pages('backups', readBackup, options)) {
        yield { id, name, keyId: undefined }
      }
    }
  }

  async #withKey(volume: CinderVolume, signal: AbortSignal | undefined): Promise<CinderVolume> {
    if (!volume.isEncrypted) return volume
    const { keyId } = await this.volumeEncryption(volume.id, { signal })
    return { ...volume, keyId }
  }

  async *#pages<T extends { readonly id: string }>(
    kind: 'volumes' | 'backups',
    read: (entry: Record<string, unknown>) => T,
    {
      allProjects,
      signal,
      headers = {},
    }: {
      allProjects: boolean
      signal: AbortSignal | undefined
      headers?: Readonly<Record<string, string>>
    },
  ): AsyncGenerator<T> {
    const filter = { limit: String(PAGE), ...(allProjects ? { all_tenants: '1' } : {}) }
    const seen = new Set<string>()
    for (let marker: string | undefined; ; ) {
      const query = { ...filter, ...(marker === undefined ? {} : { marker }) }
      const request = { ...get(kind, 'detail'), headers, query, signal }
      const answer = await this.#json({ ...request, attempt: `list ${kind}` })
      const entries = understood('cinder', kind, () =>
        listOf(answer[kind]).map((entry) => read(record(entry, kind))),
      )
      const fresh = entries.filter(({ id }) => !seen.has(id))
      // A page may be shorter than was asked for (osapi_max_limit); one without anything new is the end.
      if (fresh.length === 0) return
      for (const { id } of fresh) seen.add(id)
      yield* fresh
      marker = fresh.at(-1)?.id
    }
  }

  async volumeEncryption(id: string, { signal }: CallOptions = {}): Promise<VolumeEncryption> {
    const attempt = `show the encryption of the volume ${id}`
    const answer = await this.#json({ ...get('volumes', id, 'encryption'), attempt, signal })
    return { ...readSpec(answer), keyId: optional(answer['encryption_key_id']) }
  }

  /** All types that the user may see; private ones too for administrators. */
  async types({ signal }: CallOptions = {}): Promise<VolumeType[]> {
    // Without a limit cinder gives as many as its configuration lets it (osapi_max_limit, 1000).
    const request = { ...get('types'), query: { is_public: 'None' }, signal }
    const answer = await this.#json({ ...request, attempt: 'list volume types' })
    return understood('cinder', 'volume types', () =>
      listOf(answer['volume_types']).map((type) => readType(record(type, 'type'))),
    )
  }

  /** A type by its id. */
  async type(id: string, { signal }: CallOptions = {}): Promise<VolumeType> {
    const answer = await this.#json({
      ...get('types', id),
      attempt: `show the volume type ${id}`,
      signal,
    })
    return understood('cinder', 'a volume type', () =>
      readType(record(answer['volume_type'], 'type')),
    )
  }

  /** What volumes of a type, named by its id, are encrypted with; with default rules, administrators see it. */
  async typeEncryption(id: string, { signal }: CallOptions = {}): Promise<EncryptionSpec | null> {
    const attempt = `show the encryption of the volume type ${id}`
    const request = { ...get('types', id, 'encryption'), attempt, signal }
    const answer = await this.#json(request, forAdministrators(attempt))
    return optional(answer['provider']) === null ? null : readSpec(answer)
  }

  /** Whether any project has a volume of the type: then cinder does not change its encryption. */
  async isTypeInUse(id: string, { signal }: CallOptions = {}): Promise<boolean> {
    const query = { all_tenants: '1', volume_type_id: id, limit: '1' }
    const answer = await this.#json({ ...get('volumes'), query, attempt: 'list volumes', signal })
    return understood('cinder', 'volumes', () => listOf(answer['volumes']).length > 0)
  }

  /** Ids of the projects that may use a private type. */
  async typeProjects(id: string, { signal }: CallOptions = {}): Promise<string[]> {
    const attempt = `show who may use the volume type ${id}`
    const request = { ...get('types', id, 'os-volume-type-access'), attempt, signal }
    const answer = await this.#json(request)
    return understood('cinder', 'projects', () => readAccess(answer))
  }

  /** What a volume has of its image, as cinder hands it on to instances. */
  async imageMetadata(id: string, { signal }: CallOptions = {}): Promise<Record<string, string>> {
    const attempt = `show the image metadata of the volume ${id}`
    try {
      const answer = await this.#act(id, attempt, { 'os-show_image_metadata': {} }, signal)
      return understood('cinder', 'image metadata', () => texts(answer['metadata']))
    } catch (error) {
      // To cinder, none is not an empty answer.
      if (hasStatus(error, 404) && error.http.description.includes('Glance metadata')) return {}
      throw error
    }
  }

  /** Adds to it, or replaces what is there by that name; returns all of it. Values have up to 255 characters. */
  async setImageMetadata(
    id: string,
    metadata: Readonly<Record<string, string>>,
    { signal }: CallOptions = {},
  ): Promise<Record<string, string>> {
    const attempt = `set the image metadata of the volume ${id}`
    const answer = await this.#act(id, attempt, { 'os-set_image_metadata': { metadata } }, signal)
    return understood('cinder', 'image metadata', () => texts(answer['metadata']))
  }

  /** Takes one entry away. */
  async unsetImageMetadata(id: string, key: string, { signal }: CallOptions = {}): Promise<void> {
    const attempt = `unset the image metadata of the volume ${id}`
    const request = action(id, attempt, { 'os-unset_image_metadata': { key } })
    await this.#session.done('block-storage', { ...request, signal })
  }

  async #act(
    id: string,
    attempt: string,
    body: object,
    signal: AbortSignal | undefined,
  ): Promise<Record<string, unknown>> {
    return await this.#json({ ...action(id, attempt, body), idempotent: true, signal })
  }

  async #json(request: ServiceRequest, explain?: Explain): Promise<Record<string, unknown>> {
    const answer = await this.#session.json('block-storage', request, explain)
    return understood('cinder', 'an object', () => record(answer, 'answer'))
  }
}

function get(...path: string[]): { method: 'GET'; path: string[] } {
  return { method: 'GET', path }
}

function action(id: string, attempt: string, body: object): ServiceRequest {
  const bytes = Buffer.from(JSON.stringify(body))
  return {
    method: 'POST',
    path: ['volumes', id, 'action'],
    body: { type: 'application/json', bytes },
    attempt,
  }
}

function volumeIn(answer: Record<string, unknown>): CinderVolume {
  return understood('cinder', 'a volume', () => readVolume(record(answer['volume'], 'volume')))
}

function readBackup(backup: Record<string, unknown>): CinderBackup {
  return {
    id: text(backup['id'], 'id'),
    name: optional(backup['name']),
    keyId: optional(backup['encryption_key_id']),
  }
}

function readVolume(volume: Record<string, unknown>): CinderVolume {
  const { size } = volume
  return {
    id: text(volume['id'], 'id'),
    name: optional(volume['name']),
    status: text(volume['status'], 'status'),
    size: typeof size === 'number' ? size : 0,
    type: optional(volume['volume_type']),
    isEncrypted: volume['encrypted'] === true,
    keyId: optional(volume['encryption_key_id']),
    imageMetadata: texts(volume['volume_image_metadata'] ?? {}),
  }
}
