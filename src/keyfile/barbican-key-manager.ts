import { mapAtOnce } from '../core/at-once.js'
import { asError, leaving, VolsealError } from '../core/errors.js'
import { consume, type Secret } from '../core/secret.js'
import type {
  FetchedSecret,
  KeyManager,
  NewKey,
  NewSecret,
  SecretFilter,
  SecretInfo,
  SecretMetadata,
  StoredSecret,
} from './key-manager.js'
import {
  type AcceptedSecret,
  acceptId,
  acceptKey,
  acceptMetadata,
  acceptSecret,
} from './secret-rules.js'
import {
  accepted,
  factsOf,
  GENERATED,
  infoOf,
  OCTETS,
  ORIGIN_KEY,
  type SecretService,
  type ServiceSecret,
  serviceFacts,
  withoutOrigin,
} from './secret-service.js'

/** Barbican as a key manager. */
export function barbicanKeyManager(service: SecretService): KeyManager {
  return new BarbicanKeyManager(service)
}

/** Barbican's limit is 20,000 bytes of what a request holds: in one step that is base64. */
const ONE_STEP_BYTES = 15_000
/** Longer keys are two for XTS, which Barbican's own generator wants to be told (simple_crypto.py). */
const ONE_KEY_BITS = 256
/** How many secrets are asked for at once when all are listed. */
const AT_ONCE = 16

class BarbicanKeyManager implements KeyManager {
  readonly #service: SecretService

  constructor(service: SecretService) {
    this.#service = service
  }

  async createKey(key: NewKey): Promise<string> {
    const { algorithm, bitLength, name, metadata } = accepted(acceptKey(key))
    const id = await this.#service.orderKey({
      algorithm: algorithm ?? key.algorithm,
      bitLength: bitLength ?? key.bitLength,
      ...(key.bitLength > ONE_KEY_BITS ? { mode: 'xts' } : {}),
      ...(name === null ? {} : { name }),
    })
    return await this.#whole(id, async () => {
      await this.#service.setMetadata(id, { ...metadata, [ORIGIN_KEY]: GENERATED })
    })
  }

  async store(secret: NewSecret): Promise<string> {
    const facts = accepted(acceptSecret(secret))
    // The caller may wipe its own before this is done.
    return await consume(secret.payload.copy(), async (payload) => {
      const id = await this.#begin(facts, payload)
      return await this.#whole(id, async () => {
        const { metadata } = facts
        if (Object.keys(metadata).length > 0) await this.#service.setMetadata(id, metadata)
        await this.#compare(id, payload)
      })
    })
  }

  async get(id: string): Promise<StoredSecret> {
    acceptId(id)
    const [{ payload, ...secret }, metadata] = await together(
      this.fetch(id),
      this.#metadata(id),
      ({ payload: bytes }) => bytes.wipe(),
    )
    return { ...infoOf(secret, metadata), payload }
  }

  async fetch(id: string): Promise<FetchedSecret> {
    acceptId(id)
    const [payload, secret] = await together(
      this.#service.payload(id),
      this.#service.show(id),
      (bytes) => bytes.wipe(),
    )
    return { ...factsOf(secret), payload }
  }

  async describe(id: string): Promise<SecretInfo> {
    acceptId(id)
    const [secret, metadata] = await Promise.all([this.#service.show(id), this.#metadata(id)])
    return infoOf(factsOf(secret), metadata)
  }

  async list(filter: SecretFilter = {}): Promise<SecretInfo[]> {
    const { type, name } = filter
    const listed = await this.#service.list({
      ...(type === undefined ? {} : { type }),
      ...(name === undefined ? {} : { name }),
    })
    const wanted = listed.filter((secret) => name === undefined || secret.name === name)
    const infos = await mapAtOnce(wanted, AT_ONCE, async (secret) => await this.#listed(secret))
    return infos.flat()
  }

  async delete(id: string): Promise<void> {
    await this.#service.delete(acceptId(id))
  }

  async users(id: string): Promise<readonly string[]> {
    try {
      const consumers = await this.#service.consumers(acceptId(id))
      return consumers.map(({ resourceType, resourceId }) => `${resourceType} ${resourceId}`)
    } catch (error) {
      // Barbican before Wallaby knows none; those of others' secrets are not for everybody to see.
      if (['not-found', 'forbidden'].includes(asError(error).code)) return []
      throw error
    }
  }

  async setMetadata(id: string, metadata: SecretMetadata): Promise<void> {
    const wanted = withoutOrigin(acceptMetadata(metadata))
    const { [ORIGIN_KEY]: origin } = await this.#service.metadata(acceptId(id))
    const kept = origin === undefined ? {} : { [ORIGIN_KEY]: origin }
    await this.#service.setMetadata(id, { ...wanted, ...kept })
  }

  /** Text takes two steps: in one, Barbican strips the blanks at its ends. */
  async #begin(facts: AcceptedSecret, payload: Secret): Promise<string> {
    const { contentType } = facts
    const said = serviceFacts(facts)
    if (contentType === OCTETS && payload.length <= ONE_STEP_BYTES) {
      return await this.#service.store(said, payload)
    }
    const id = await this.#service.create(said)
    return await this.#whole(id, async () => {
      await this.#service.putPayload(id, payload, contentType)
    })
  }

  /** Finishes a new secret; what cannot be finished is deleted, and the first error told. */
  async #whole(id: string, finish: () => Promise<void>): Promise<string> {
    try {
      await finish()
      return id
    } catch (error) {
      throw await this.#takenBack(id, error)
    }
  }

  async #takenBack(id: string, reason: unknown): Promise<unknown> {
    try {
      await this.#service.delete(id)
      return reason
    } catch (failure) {
      const error = asError(reason)
      if (asError(failure).code === 'not-found') return error
      return leaving(error, [`the secret ${id} is left behind: volseal secret delete ${id}`])
    }
  }

  /** Barbican has accepted what it cannot give back before (damaged base64): what counts is what comes. */
  async #compare(id: string, payload: Secret): Promise<void> {
    await consume(await this.#service.payload(id), (kept) => {
      if (kept.bytes().equals(payload.bytes())) return
      throw new VolsealError(
        'io',
        `barbican gave back other bytes than the secret ${id} was made of`,
        {
          hint: 'is something between here and Barbican changing requests?',
        },
      )
    })
  }

  /** Who may read a secret, another project's too, may not always see its metadata. */
  async #metadata(id: string): Promise<Record<string, string>> {
    try {
      return await this.#service.metadata(id)
    } catch (error) {
      if (error instanceof VolsealError && error.code === 'forbidden') return {}
      throw error
    }
  }

  /** None when it was deleted since it was listed. */
  async #listed(secret: ServiceSecret): Promise<SecretInfo[]> {
    try {
      return [infoOf(factsOf(secret), await this.#metadata(secret.id))]
    } catch (error) {
      if (error instanceof VolsealError && error.code === 'not-found') return []
      throw error
    }
  }
}

/** Both, or the first one's error; one whose companion is missing is wiped. */
async function together<A, B>(
  one: Promise<A>,
  other: Promise<B>,
  wipe: (value: A) => void,
): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([one, other])
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'fulfilled') return [first.value, second.value]
  wipe(first.value)
  throw second.reason
}
