import type { HashMethod, KeyType } from '../core/algorithms.js'
import type { Certificate } from '../core/certificate.js'
import type { SignatureProperties } from '../core/image-signature.js'
import type { SignatureText } from '../core/signature-text.js'
import type { Recovered } from './recover.js'

/** Who would say what of the image, and what is wrong with it; `verify --explain` adds it. */
export interface Explanation {
  /** What the signature says of itself; null when there is none, or no certificate to open it with. */
  readonly signature: (Recovered & { readonly form: SignatureText['form'] }) | null
  readonly acceptedBy: readonly Acceptance[]
  readonly causes: readonly Cause[]
  /** What the services' logs would say; `--salt any` is for cryptography >= 42. */
  readonly serviceLog: readonly LogLine[]
}

export type Verifier = 'nova' | 'cinder' | 'glance' | 'openssl'
export type Service = Exclude<Verifier, 'openssl'>
/** Up to 41 only the longest salt is accepted, from 42 on every one. */
export type Cryptography = '<=41' | '>=42'

export interface Acceptance {
  readonly verifier: Verifier
  /** Which python-cryptography; null for openssl. */
  readonly cryptography: Cryptography | null
  /** `unsigned`: takes the image without looking at its signature. */
  readonly verdict: 'accepts' | 'refuses' | 'unsigned' | 'unknown'
  /** Why not accepted; null where it is. */
  readonly reason: string | null
  /** What has to be seen to first, or is to be known, for it to be so. */
  readonly condition: string | null
}

/** A usual mistake, and what mends it. */
export interface Cause {
  readonly code: CauseCode
  readonly message: string
  /** Command lines that mend it, one after the other; empty where no command does. */
  readonly remedy: readonly string[]
}

export type CauseCode =
  | 'unsigned'
  | 'properties-missing'
  | 'certificate-not-named'
  | 'python-repr'
  | 'wrapped-base64'
  | 'url-safe-base64'
  | 'unpadded-base64'
  | 'foreign-characters'
  | 'hex-signature'
  | 'not-base64'
  | 'hash-name'
  | 'key-type-name'
  | 'key-type-of-another-class'
  | 'curve-of-another-key-type'
  | 'weak-key'
  | 'dropped-curve'
  | 'certificate-id'
  | 'certificate-unreadable'
  | 'certificate-form'
  | 'certificate-as-text'
  | 'certificate-dates'
  | 'certificate-trust'
  | 'salt-length'
  | 'pkcs1-padding'
  | 'other-hash'
  | 'other-mgf-hash'
  | 'raw-signature'
  | 'digest-signed'
  | 'other-key'
  | 'other-image'
  | 'other-image-or-key'

export interface LogLine {
  readonly service: Service
  readonly level: 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR'
  /** The logger's name. */
  readonly logger: string
  readonly message: string
}

/** The certificate as far as it could be read. */
export interface CertificateFacts {
  /** Undefined where it could not be fetched or read; `fault` then says why. */
  readonly certificate: Certificate | undefined
  /** Why it could not be used at all. */
  readonly fault: string | undefined
  /** Why castellan could not load it: `it is DER, and castellan reads PEM only`. */
  readonly castellan: string | undefined
  /** It is kept as text/plain, on which castellan fails. */
  readonly isText: boolean
  /** What the secret is that should be a certificate; undefined when it is one, or there is none. */
  readonly secretType: 'symmetric' | 'passphrase' | 'private' | 'public' | 'opaque' | undefined
  /** It was named by the caller, not by the image's properties. */
  readonly isNamedByCaller: boolean
}

/** All that is known before the image is read, of a signature that may not be usable at all. */
export interface SignatureFacts {
  /** How the image is named in commands and log lines. */
  readonly image: string
  /** Its id in Glance, where the properties came with one. */
  readonly imageId: string | undefined
  readonly properties: SignatureProperties
  readonly missing: readonly (keyof SignatureProperties)[]
  readonly text: SignatureText | undefined
  readonly hash: HashMethod | undefined
  readonly keyType: KeyType | undefined
  readonly certificate: CertificateFacts
  /** `any` asks for the log lines of cryptography >= 42. */
  readonly salt: 'max' | 'any'
}
