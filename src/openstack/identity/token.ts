import { performance } from 'node:perf_hooks'

/** Seconds before its end from which on a token is renewed first; keystoneauth's margin. */
const MARGIN_SECONDS = 30

/** Who a token speaks for: what errors need in order to say which role is missing. */
export interface Identity {
  readonly user: Named
  /** Null for a token that is not for a project. */
  readonly project: Named | null
  readonly roles: readonly string[]
}

export interface Named {
  readonly id: string
  readonly name: string
}

export interface CatalogEndpoint {
  readonly type: string
  readonly interface: string
  readonly region: string
  readonly url: string
}

/** A token of keystone, which prints as nothing. */
export class Token {
  readonly identity: Identity
  readonly catalog: readonly CatalogEndpoint[]
  readonly #value: string
  readonly #end: number

  /** `lifetime` in seconds from now, by keystone's clock and not ours. */
  constructor(
    value: string,
    lifetime: number,
    facts: { identity: Identity; catalog: readonly CatalogEndpoint[] },
  ) {
    this.identity = facts.identity
    this.catalog = facts.catalog
    this.#value = value
    this.#end = performance.now() + (lifetime - MARGIN_SECONDS) * 1000
  }

  /** For the header X-Auth-Token and nothing else. */
  value(): string {
    return this.#value
  }

  isFresh(): boolean {
    return performance.now() < this.#end
  }
}
