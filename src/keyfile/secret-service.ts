import { VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import type { SecretInfo, SecretMetadata, SecretOrigin } from './key-manager.js'
import { type AcceptedSecret, SECRET_TYPES, sortedMetadata } from './secret-rules.js'

/** What is needed of Barbican (`openstack/key-manager/barbican.ts`). */
export interface SecretService {
  store(facts: ServiceFacts, payload: Secret): Promise<string>
  create(facts: ServiceFacts): Promise<string>
  putPayload(id: string, payload: Secret, contentType: string): Promise<void>
  show(id: string): Promise<ServiceSecret>
  payload(id: string): Promise<Secret>
  list(filter: { readonly type?: string; readonly name?: string }): Promise<ServiceSecret[]>
  delete(id: string): Promise<void>
  consumers(id: string): Promise<readonly ServiceConsumer[]>
  metadata(id: string): Promise<Record<string, string>>
  setMetadata(id: string, metadata: SecretMetadata): Promise<void>
  orderKey(order: ServiceOrder): Promise<string>
}

/** What is registered as needing a secret. */
export interface ServiceConsumer {
  readonly resourceType: string
  readonly resourceId: string
}

/** What is said of a new secret. */
export interface ServiceFacts {
  readonly type: string
  readonly name?: string
  readonly algorithm?: string
  readonly bitLength?: number
}

/** A key to be drawn. */
export interface ServiceOrder {
  readonly algorithm: string
  readonly bitLength: number
  readonly mode?: string
  readonly name?: string
}

/** What Barbican says of a secret. */
export interface ServiceSecret {
  readonly id: string
  readonly name: string | null
  readonly type: string
  readonly algorithm: string | null
  readonly bitLength: number | null
  readonly created: string
  readonly contentType: string | null
}

/**
 * User metadata that says of a key that Barbican drew it: Barbican itself does not remember. It is
 * not shown, and nobody else's metadata begins with its name.
 */
export const ORIGIN_KEY = 'volseal-origin'
export const GENERATED: SecretOrigin = 'generated'

export const OCTETS = 'application/octet-stream'

export function accepted(secret: AcceptedSecret): AcceptedSecret {
  withoutOrigin(secret.metadata)
  return secret
}

/** @throws {VolsealError} `usage` for metadata that would be taken for ours */
export function withoutOrigin(metadata: SecretMetadata): SecretMetadata {
  if (!Object.hasOwn(metadata, ORIGIN_KEY)) return metadata
  throw new VolsealError('usage', `metadata key: ${ORIGIN_KEY} is volseal's own`)
}

export function serviceFacts({ type, name, algorithm, bitLength }: AcceptedSecret): ServiceFacts {
  return {
    type,
    ...(name === null ? {} : { name }),
    ...(algorithm === null ? {} : { algorithm }),
    ...(bitLength === null ? {} : { bitLength }),
  }
}

type Facts = Omit<SecretInfo, 'metadata' | 'origin'>

export function factsOf(secret: ServiceSecret): Facts {
  const { id, name, algorithm, bitLength, created } = secret
  return {
    id,
    // What is not known is kept as Barbican keeps it: as bytes that nobody interprets.
    type: SECRET_TYPES.find((type) => type === secret.type) ?? 'opaque',
    name,
    algorithm,
    bitLength,
    created,
    contentType: secret.contentType ?? OCTETS,
  }
}

export function infoOf(facts: Facts, metadata: Record<string, string>): SecretInfo {
  const { [ORIGIN_KEY]: origin, ...own } = metadata
  return {
    ...facts,
    metadata: sortedMetadata(Object.entries(own)),
    origin: origin === GENERATED ? GENERATED : 'stored',
  }
}
