import type { Secret } from '../../core/secret.js'
import type { Proxies, TlsSettings } from '../http/http-client.js'

/** A cloud and how to get into it, whatever files and variables said so. */
export interface Cloud {
  /** For errors. */
  readonly name: string
  /** Where it is configured, for errors: `/home/ops/.config/openstack/clouds.yaml`. */
  readonly origin: string
  readonly authUrl: string
  readonly login: Login
  readonly scope: Scope
  /** Undefined takes the catalog's first. */
  readonly region: string | undefined
  readonly interface: Interface
  /** What is said of single services, by the catalog's types (`image`, `key-manager`). */
  readonly services: Readonly<Record<string, ServiceSettings>>
  readonly tls: TlsSettings
  /** What all requests go through, by the variables that every program heeds. */
  readonly proxies?: Proxies | undefined
}

export type Interface = 'public' | 'internal' | 'admin'

export interface ServiceSettings {
  readonly endpoint?: string | undefined
  readonly interface?: Interface | undefined
}

export type DomainName = { readonly id: string } | { readonly name: string }

export type InDomain =
  | { readonly id: string }
  | { readonly name: string; readonly domain: DomainName }

/** How a user proves who it is. */
export type Login =
  | { readonly kind: 'password'; readonly user: InDomain; readonly password: Secret }
  | {
      readonly kind: 'application-credential'
      readonly credential:
        | { readonly id: string }
        | { readonly name: string; readonly user: InDomain }
      readonly secret: Secret
    }
  | { readonly kind: 'token'; readonly token: Secret }

/** What the token is to be good for. */
export type Scope =
  | { readonly kind: 'project'; readonly project: InDomain }
  | { readonly kind: 'domain'; readonly domain: DomainName }
  | { readonly kind: 'system' }
  | { readonly kind: 'none' }
