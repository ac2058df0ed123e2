import { record } from '../../core/check.js'
import { consume, Secret } from '../../core/secret.js'
import { malformed, readBytes, understood } from '../http/answer.js'
import type { ServiceRequest, Session } from '../session.js'
import {
  aclIn,
  type BarbicanFilter,
  containersIn,
  factsBody,
  get,
  jsonBody,
  metadataIn,
  OCTETS,
  pageIn,
  type SecretAcl,
  type SecretFacts,
  storeBody,
} from './barbican-bodies.js'
import { explainer, type SecretAct } from './barbican-refusal.js'
import { type NewOrder, orderSecret } from './orders.js'
import {
  type BarbicanSecret,
  idIn,
  readConsumers,
  readSecret,
  type SecretConsumer,
} from './secret-answer.js'

interface Request extends ServiceRequest {
  readonly act: SecretAct
}

/** What deployments may have raised Barbican's limit of 20,000 bytes to. */
const MOST_PAYLOAD_BYTES = 16 * 1024 * 1024
const PAGE = 100
/** Secrets that come and go while the pages are read move others to another page. */
const LIST_TRIES = 5
/** Since Wallaby; without the header, consumers do not exist. */
const WITH_CONSUMERS = { 'OpenStack-API-Version': 'key-manager 1.1' } as const

/** Barbican's Key Manager API v1. Errors are those of `Session.send`. */
export class Barbican {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** Stores a secret in one step, as octets; returns its id. The caller wipes `payload`. */
  async store(facts: SecretFacts, payload: Secret): Promise<string> {
    const body = new Secret(storeBody(facts, payload))
    return await consume(body, async () => await this.#post(body.bytes()))
  }

  /** Makes a secret without bytes, the first of two steps; returns its id. */
  async create(facts: SecretFacts): Promise<string> {
    return await this.#post(Buffer.from(JSON.stringify(factsBody(facts))))
  }

  /** The second step, which can be done once: the bytes as they are. */
  async putPayload(id: string, payload: Secret, contentType: string = OCTETS): Promise<void> {
    // The caller may wipe its own before the last byte is on its way.
    await consume(payload.copy(), async (copy) => {
      await this.#done({
        method: 'PUT',
        path: ['secrets', id],
        body: { type: contentType, bytes: copy.bytes() },
        attempt: `take the bytes of the secret ${id}`,
        act: 'store',
        discreet: true,
        idempotent: false,
      })
    })
  }

  async show(id: string, signal?: AbortSignal): Promise<BarbicanSecret> {
    const attempt = `show the secret ${id}`
    const secret = readSecret(
      await this.#json({ ...get('secrets', id), attempt, act: 'read', signal }),
    )
    if (secret.id !== id) throw malformed('barbican', `the secret ${id}, got another one`)
    return secret
  }

  /** A secret's bytes, whatever their content type; the receiver wipes them. */
  async payload(id: string, signal?: AbortSignal): Promise<Secret> {
    const attempt = `give the bytes of the secret ${id}`
    const answer = await this.#session.send(
      'key-manager',
      { ...get('secrets', id, 'payload'), headers: { Accept: OCTETS }, attempt, signal },
      explainer(attempt, 'read'),
    )
    return new Secret(await readBytes(answer, MOST_PAYLOAD_BYTES, 'barbican'))
  }

  /** The project's secrets, oldest first. */
  async list(filter: BarbicanFilter = {}, signal?: AbortSignal): Promise<BarbicanSecret[]> {
    for (let tries = 1; ; tries += 1) {
      const { found, total } = await this.#listOnce(filter, signal)
      if (found.size >= total) return [...found.values()]
      if (tries === LIST_TRIES) throw malformed('barbican', `${total} secrets, got ${found.size}`)
    }
  }

  /** Ids of the secrets that are in containers, such as those of load balancers. */
  async containedSecrets(signal?: AbortSignal): Promise<string[]> {
    const found = new Set<string>()
    for (let offset = 0; ; ) {
      const query = { limit: String(PAGE), offset: String(offset) }
      const request = { ...get('containers'), attempt: 'list containers', act: 'list' } as const
      const { count, total, secrets } = containersIn(
        await this.#json({ ...request, query, signal }),
      )
      for (const id of secrets) found.add(id)
      offset += count
      if (count === 0 || offset >= total) return [...found]
    }
  }

  /** Deletes a secret; one that a lost connection has deleted already is deleted. */
  async delete(id: string): Promise<void> {
    const attempt = `delete the secret ${id}`
    const request = { method: 'DELETE', path: ['secrets', id], attempt } as const
    await this.#done({ ...request, act: 'change' })
  }

  /** What users have noted of a secret. */
  async metadata(id: string, signal?: AbortSignal): Promise<Record<string, string>> {
    const attempt = `show the metadata of the secret ${id}`
    const request = { ...get('secrets', id, 'metadata'), attempt, act: 'read', signal } as const
    return metadataIn(await this.#json(request))
  }

  /** Replaces all of it; Barbican writes keys in lower case. */
  async setMetadata(id: string, metadata: Readonly<Record<string, string>>): Promise<void> {
    await this.#done({
      method: 'PUT',
      path: ['secrets', id, 'metadata'],
      body: jsonBody({ metadata }),
      attempt: `note the metadata of the secret ${id}`,
      act: 'change',
    })
  }

  async acl(id: string): Promise<SecretAcl> {
    const attempt = `show who may read the secret ${id}`
    return aclIn(await this.#json({ ...get('secrets', id, 'acl'), attempt, act: 'read' }))
  }

  /** Replaces all of it. */
  async setAcl(id: string, { users, projectAccess }: SecretAcl): Promise<void> {
    await this.#done({
      method: 'PUT',
      path: ['secrets', id, 'acl'],
      body: jsonBody({ read: { users, 'project-access': projectAccess } }),
      attempt: `set who may read the secret ${id}`,
      act: 'change',
    })
  }

  /** Registers what needs a secret. Services that heed it then do not delete the secret. */
  async addConsumer(id: string, consumer: SecretConsumer): Promise<void> {
    await this.#consumer('POST', id, consumer)
  }

  async removeConsumer(id: string, consumer: SecretConsumer): Promise<void> {
    await this.#consumer('DELETE', id, consumer)
  }

  /** @throws {VolsealError} `not-found`; none where Barbican is older than Wallaby and knows none */
  async consumers(id: string): Promise<SecretConsumer[]> {
    const attempt = `show the consumers of the secret ${id}`
    const request = {
      ...get('secrets', id, 'consumers'),
      headers: WITH_CONSUMERS,
      attempt,
    } as const
    const answer = await this.#json({ ...request, query: { limit: String(PAGE) }, act: 'read' })
    return understood('barbican', 'consumers', () =>
      readConsumers(record(answer, 'answer')['consumers']),
    )
  }

  /** Has Barbican draw a symmetric key; returns the id of the secret. */
  async orderKey(order: NewOrder, signal?: AbortSignal): Promise<string> {
    return await orderSecret(this.#session, order, signal)
  }

  async #listOnce(
    { type, name }: BarbicanFilter,
    signal: AbortSignal | undefined,
  ): Promise<{ found: Map<string, BarbicanSecret>; total: number }> {
    const filter = {
      ...(type === undefined ? {} : { secret_type: type }),
      // Barbican decodes it a second time (unquote_plus), and databases read \ in their own way.
      ...(name === undefined || name.includes('\\') ? {} : { name: encodeURIComponent(name) }),
    }
    const found = new Map<string, BarbicanSecret>()
    for (let offset = 0; ; ) {
      const paging = { limit: String(PAGE), offset: String(offset), sort: 'created:asc' }
      const request = { ...get('secrets'), attempt: 'list secrets', act: 'list' } as const
      const query = { ...filter, ...paging }
      const answer = await this.#json({ ...request, headers: WITH_CONSUMERS, query, signal })
      const { secrets, total } = pageIn(answer)
      const before = found.size
      for (const secret of secrets) found.set(secret.id, secret)
      offset += secrets.length
      // A page may be shorter than was asked for (max_limit_paging); one without anything new is the end.
      if (offset >= total || found.size === before) return { found, total }
    }
  }

  async #post(bytes: Buffer): Promise<string> {
    const answer = await this.#json({
      method: 'POST',
      path: ['secrets'],
      body: { type: 'application/json', bytes },
      attempt: 'store a secret',
      act: 'store',
      discreet: true,
      toTheEnd: true,
    })
    return understood('barbican', 'the new secret', () =>
      idIn(record(answer, 'answer')['secret_ref']),
    )
  }

  async #consumer(
    method: 'POST' | 'DELETE',
    id: string,
    { service, resourceType, resourceId }: SecretConsumer,
  ): Promise<void> {
    const consumer = { service, resource_type: resourceType, resource_id: resourceId }
    await this.#done({
      method,
      path: ['secrets', id, 'consumers'],
      headers: WITH_CONSUMERS,
      body: jsonBody(consumer),
      attempt: `${method === 'POST' ? 'register' : 'remove'} a consumer of the secret ${id}`,
      act: 'read',
      // The same one twice is registered once.
      idempotent: true,
    })
  }

  async #json({ act, ...request }: Request): Promise<unknown> {
    return await this.#session.json('key-manager', request, explainer(request.attempt, act))
  }

  async #done({ act, ...request }: Request): Promise<void> {
    await this.#session.done('key-manager', request, explainer(request.attempt, act))
  }
}
