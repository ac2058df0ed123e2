import type { KeyTypeName } from '../../core/algorithms.js'
import type { Place } from '../../core/yaml.js'

/**
 * A policy: which images must be signed, by whom and how. It is a list of rules, of which the first
 * that applies decides; where none does, a signature is required. `schemas/policy-1.json` says what a
 * file looks like.
 */
export interface Policy {
  /** How errors call it: its path. */
  readonly name: string
  readonly rules: readonly PolicyRule[]
}

/**
 * `required`: unsigned images are refused. `if-signed`: images without any signature property are
 * accepted. `off`: nobody looks at signatures.
 */
export type SignatureDemand = 'required' | 'if-signed' | 'off'

export const SIGNATURE_DEMANDS: readonly SignatureDemand[] = ['required', 'if-signed', 'off']

export interface PolicyRule {
  /** As the file calls it; `rule N` when it does not. */
  readonly name: string
  readonly place: Place
  /** Patterns for project ids or names; any project when not given. */
  readonly projects?: readonly string[] | undefined
  /** Patterns for image names; any image when not given. */
  readonly images?: readonly string[] | undefined
  readonly signature: SignatureDemand
  readonly keyTypes?: readonly KeyTypeName[] | undefined
  /** Fewest bits of a key, for types that come in several sizes. */
  readonly minimumBits?: ReadonlyMap<KeyTypeName, number> | undefined
  /** The only certificates that are accepted. */
  readonly certificates?: readonly PolicyCertificate[] | undefined
  /** Most time since Glance has created the image. */
  readonly maximumAge?: Age | undefined
  readonly formats?: readonly PolicyFormat[] | undefined
}

/** A certificate by its fingerprint (SHA-256 of the DER, lower-case hex), with itself if it was a file. */
export interface PolicyCertificate {
  readonly fingerprint: string
  readonly content?: Buffer | undefined
}

export interface Age {
  /** As the file says it, such as `90d`. */
  readonly text: string
  readonly milliseconds: number
}

/** Formats that `write` can write; a disk with a partition table is `raw`. */
export type PolicyFormat = 'raw' | 'qcow2' | 'vmdk' | 'vhd' | 'vhdx' | 'vdi' | 'iso' | 'luks'

export const POLICY_FORMATS: readonly PolicyFormat[] = [
  'raw',
  'qcow2',
  'vmdk',
  'vhd',
  'vhdx',
  'vdi',
  'iso',
  'luks',
]

/** What is known of an image besides its bytes and its signature; Glance's words. */
export interface PolicySubject {
  /** Id or name of the project that owns the image. */
  readonly project?: string | undefined
  readonly imageName?: string | undefined
  /** When Glance created it (`created_at`). */
  readonly createdAt?: Date | undefined
}
