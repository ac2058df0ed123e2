import type { ByteInput, PassOptions } from '../core/byte-source.js'
import type { SignatureProperties } from '../core/image-signature.js'
import type { ProfileName } from '../core/profiles.js'
import type { SecretSource } from '../keyfile/index.js'
import type { SaltRule } from '../verify/index.js'

/** What an image is judged by. */
export interface JudgeOptions {
  /** The four Glance properties of the image. */
  readonly properties: SignatureProperties
  /** The certificate to verify with (PEM or DER); naming it vouches for it. */
  readonly certificate?: Buffer | undefined
  /** The same by its id in the key manager. */
  readonly certificateId?: string | undefined
  /** Certificates (PEM or DER) that are accepted when the properties name one of them. */
  readonly trusted?: readonly Buffer[] | undefined
  /** Where certificates are fetched from by their id. */
  readonly keyManager?: SecretSource | undefined
  /** By which rules: ours (`strict`, the default) or those of nova, cinder and glance (`cursive`). */
  readonly profile?: ProfileName | undefined
  /** `max` (default) refuses RSA-PSS salts that strict clouds refuse. */
  readonly salt?: SaltRule | undefined
  /** The image's id in Glance, for what an explanation says to do. */
  readonly imageId?: string | undefined
  /** When the certificate must be valid; now when not given. */
  readonly at?: Date | undefined
}

export interface VerifyOptions extends JudgeOptions, PassOptions {
  /** A path, `-` for standard input, or the bytes as they come. */
  readonly image: ByteInput
  /** Adds `explanation` to the report, also to that of a refusal; costs several hashes of the image. */
  readonly explain?: boolean | undefined
}
