import { record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import { malformed } from '../http/answer.js'
import { hasStatus, type ServiceRefusal, serviceError } from '../http/service-error.js'
import type { Token } from '../identity/token.js'
import type { Explain, Session } from '../session.js'

/** A volume type, as cinder describes it. */
export interface VolumeType {
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly isPublic: boolean
  /** Extra specs; administrators see all of them. */
  readonly properties: Readonly<Record<string, string>>
}

/** The encryption of a volume type. */
export interface TypeEncryption {
  readonly provider: string
  readonly cipher: string | null
  /** Bits. */
  readonly keySize: number | null
  readonly controlLocation: string
}

const PAGE = 200

/** Volume types in cinder's Block Storage API v3. Errors are those of `Session.send`. */
export class VolumeTypes {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /**
   * The type with that id, or else with that name.
   *
   * @throws {VolsealError} `not-found`
   */
  async find(nameOrId: string, signal?: AbortSignal): Promise<VolumeType> {
    try {
      return await this.#show(nameOrId, signal)
    } catch (error) {
      if (!hasStatus(error, 404)) throw error
    }
    for await (const type of this.list(signal)) if (type.name === nameOrId) return type
    throw new VolsealError('not-found', `cinder has no volume type ${JSON.stringify(nameOrId)}`, {
      hint: 'openstack volume type list shows them; private ones are seen by their projects only',
    })
  }

  /** All types that the user may see, page by page. */
  async *list(signal?: AbortSignal): AsyncGenerator<VolumeType> {
    let marker: string | undefined
    do {
      const query = {
        is_public: 'None',
        limit: String(PAGE),
        ...(marker === undefined ? {} : { marker }),
      }
      const answer = await this.#get(['types'], 'list volume types', { query, signal })
      const types = listIn(answer, 'volume_types').map((type) => readType(type))
      yield* types
      // The address of the next page may be anywhere; the marker is all that is new in it.
      marker = types.length < PAGE ? undefined : types.at(-1)?.id
    } while (marker !== undefined)
  }

  /** Undefined for a type without encryption. Cinder's default policy shows it to administrators only. */
  async encryption(id: string, signal?: AbortSignal): Promise<TypeEncryption | undefined> {
    const attempt = `show the encryption of the volume type ${id}`
    const answer = await this.#get(['types', id, 'encryption'], attempt, { signal })
    return understood(() => {
      const {
        provider,
        cipher,
        key_size: bits,
        control_location: location,
      } = record(answer, 'answer')
      if (provider === undefined || provider === null) return undefined
      return {
        provider: text(provider, 'provider'),
        cipher: typeof cipher === 'string' ? cipher : null,
        keySize: typeof bits === 'number' ? bits : null,
        controlLocation: text(location, 'control_location'),
      }
    })
  }

  /** Whether any project has a volume of the type: then cinder does not change its encryption. */
  async isInUse(id: string, signal?: AbortSignal): Promise<boolean> {
    const query = { all_tenants: '1', volume_type_id: id, limit: '1' }
    const answer = await this.#get(['volumes'], 'list volumes', { query, signal })
    return listIn(answer, 'volumes').length > 0
  }

  /** Ids of the projects that may use a private type. */
  async projects(id: string, signal?: AbortSignal): Promise<string[]> {
    const attempt = `show who may use the volume type ${id}`
    const answer = await this.#get(['types', id, 'os-volume-type-access'], attempt, { signal })
    return listIn(answer, 'volume_type_access').map((entry) =>
      understood(() => text(record(entry, 'access')['project_id'], 'project_id')),
    )
  }

  async #show(id: string, signal?: AbortSignal): Promise<VolumeType> {
    const answer = await this.#get(['types', id], `show the volume type ${id}`, { signal })
    return readType(understood(() => record(answer, 'answer')['volume_type']))
  }

  async #get(
    path: string[],
    attempt: string,
    options: { query?: Record<string, string>; signal?: AbortSignal | undefined },
  ): Promise<unknown> {
    const request = { method: 'GET', path, attempt, ...options } as const
    return await this.#session.json('block-storage', request, explainer(attempt))
  }
}

function listIn(answer: unknown, name: string): unknown[] {
  const list = understood(() => record(answer, 'answer')[name])
  if (Array.isArray(list)) return list
  throw malformed('cinder', `a list of ${name}`)
}

function readType(answer: unknown): VolumeType {
  return understood(() => {
    const type = record(answer, 'volume_type')
    const specs = record(type['extra_specs'] ?? {}, 'extra_specs')
    return {
      id: text(type['id'], 'id'),
      name: text(type['name'], 'name'),
      description: typeof type['description'] === 'string' ? type['description'] : null,
      isPublic: type['is_public'] !== false,
      properties: Object.fromEntries(
        Object.entries(specs).map(([key, value]) => [key, text(value, key)]),
      ),
    }
  })
}

function understood<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw malformed(
      'cinder',
      `a volume type (${error instanceof VolsealError ? error.message : ''})`,
    )
  }
}

/** Who may see what of a volume type (cinder/policies/volume_type.py). */
function explainer(attempt: string): Explain {
  return ({ ...refusal }: ServiceRefusal, { identity }: Token) => {
    if (refusal.status !== 403) return undefined
    const { user, roles } = identity
    return serviceError(
      refusal,
      `cinder did not ${attempt} for ${user.name}, with the roles ${roles.join(', ')}`,
      { hint: 'cinder shows that to administrators only: use a cloud of one (--os-cloud)' },
    )
  }
}
