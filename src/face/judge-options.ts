import type { ByteInput, PassOptions } from '../core/byte-source.js'
import type { SignatureProperties } from '../core/image-signature.js'
import type { ProfileName } from '../core/profiles.js'
import type { SecretSource } from '../keyfile/index.js'
import type { SaltRule } from '../verify/index.js'
import type { Policy, PolicySubject } from './policy.js'

/** What an image is judged by. */
export interface JudgeOptions {
  /** The four Glance properties of the image. */
  readonly properties: SignatureProperties
  /**
   * The certificate to verify with (PEM or DER); naming it vouches for it, unless `trusted` or the
   * policy says who does. In PEM the issuers' certificates may stand behind it.
   */
  readonly certificate?: Buffer | undefined
  /** How errors call the certificate, such as by its file's name. */
  readonly certificateName?: string | undefined
  /** The certificate by its id in the key manager. */
  readonly certificateId?: string | undefined
  /**
   * Trusted certificates (PEM, which may hold several, or DER): the signer's own or that of a CA
   * above it. When there are any, they alone vouch; naming the signer's certificate does not.
   */
  readonly trusted?: readonly Buffer[] | undefined
  /** Certificates that may stand between the signer's and a trusted one. */
  readonly untrusted?: readonly Buffer[] | undefined
  /** CRLs (PEM or DER): then every certificate below the trusted one must be on none of its CA's. */
  readonly crls?: readonly Buffer[] | undefined
  /** Where certificates are fetched from by their id. */
  readonly keyManager?: SecretSource | undefined
  /** By which rules: ours (`strict`, the default) or those of nova, cinder and glance (`cursive`). */
  readonly profile?: ProfileName | undefined
  /** `max` (default) refuses RSA-PSS salts that strict clouds refuse. */
  readonly salt?: SaltRule | undefined
  /** The image's id in Glance, for what an explanation says to do. */
  readonly imageId?: string | undefined
  /** When certificates must be valid and CRLs current; now when not given. */
  readonly at?: Date | undefined
  /** Rules for images (`loadPolicy`); without them a signature is required. */
  readonly policy?: Policy | undefined
  /** What the policy's rules look at, besides the image itself. */
  readonly subject?: PolicySubject | undefined
}

export interface VerifyOptions extends JudgeOptions, PassOptions {
  /** A path, `-` for standard input, or the bytes as they come. */
  readonly image: ByteInput
  /** Adds `explanation` to the report, also to that of a refusal; costs several hashes of the image. */
  readonly explain?: boolean | undefined
}
