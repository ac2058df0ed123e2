import { HASH_METHODS, KEY_TYPES, type KeyType } from '../core/algorithms.js'
import { readBarbicanId } from '../core/barbican-id.js'
import { readCastellanPem } from '../core/castellan-pem.js'
import { type Certificate, readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import { SIGNATURE_PROPERTIES } from '../core/image-signature.js'
import { PROFILES } from '../core/profiles.js'
import { Secret } from '../core/secret.js'
import { readSignatureText } from '../core/signature-text.js'
import type { FetchedSecret, SecretSource, SecretType } from '../keyfile/index.js'
import type { CertificateFacts, SignatureFacts } from '../verify/index.js'
import type { JudgeOptions } from './judge-options.js'
import { broughtByPolicy } from './name-certificate.js'
import { decide } from './policy.js'

/** All that can be told of a signature that may not be usable: nothing here refuses anything. */
export async function gatherFacts(image: string, options: JudgeOptions): Promise<SignatureFacts> {
  const { properties } = options
  const { img_signature, img_signature_hash_method, img_signature_key_type } = properties
  const keyType = KEY_TYPES.find(({ name }) => name === img_signature_key_type)
  return {
    image,
    imageId: options.imageId,
    properties,
    missing: SIGNATURE_PROPERTIES.filter((name) => properties[name] === undefined),
    text: img_signature === undefined ? undefined : readSignatureText(img_signature),
    hash: HASH_METHODS.find(({ name }) => name === img_signature_hash_method),
    keyType,
    certificate: await certificateFacts(withPolicys(options, keyType)),
    salt: options.salt ?? 'max',
  }
}

/** A certificate that the policy brings is as one that the caller names. */
function withPolicys(options: JudgeOptions, keyType: KeyType | undefined): JudgeOptions {
  const certificate = broughtByPolicy(options, decide(options), keyType)
  return certificate === undefined ? options : { ...options, certificate }
}

const NO_CERTIFICATE = {
  certificate: undefined,
  castellan: undefined,
  isText: false,
  secretType: undefined,
} as const

async function certificateFacts(options: JudgeOptions): Promise<CertificateFacts> {
  const isNamedByCaller = options.certificate !== undefined || options.certificateId !== undefined
  try {
    const found = await fetchContent(options)
    if (found === undefined) return { ...NO_CERTIFICATE, fault: undefined, isNamedByCaller }
    if (found.secretType !== undefined) {
      const fault = `the secret is of type ${found.secretType}, not certificate`
      return { ...NO_CERTIFICATE, fault, secretType: found.secretType, isNamedByCaller }
    }
    return {
      ...readContent(found.content),
      isText: found.isText,
      secretType: undefined,
      isNamedByCaller,
    }
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    return { ...NO_CERTIFICATE, fault: error.message, isNamedByCaller }
  }
}

interface Content {
  readonly content: Buffer
  readonly isText: boolean
  /** Of what is no certificate. */
  readonly secretType?: Exclude<SecretType, 'certificate'>
}

async function fetchContent(options: JudgeOptions): Promise<Content | undefined> {
  const { certificate, certificateId, properties, keyManager } = options
  if (certificate !== undefined) return { content: certificate, isText: false }
  const id = certificateId ?? properties.img_signature_certificate_uuid
  if (id === undefined || keyManager === undefined) return undefined
  const read = readBarbicanId(id)
  const { type, contentType, payload } = await keyManager.fetch(read.kind === 'id' ? read.id : id)
  if (type !== 'certificate') return { content: Buffer.alloc(0), isText: false, secretType: type }
  return { content: Buffer.from(payload.bytes()), isText: contentType === 'text/plain' }
}

type Read = Pick<CertificateFacts, 'certificate' | 'fault' | 'castellan'>

/** However it can be read at all, and whether castellan could. */
function readContent(content: Buffer): Read {
  const pem = readCastellanPem(content)
  const castellan = pem.ok ? undefined : pem.reason
  const decoded = Buffer.from(content.toString('latin1'), 'base64')
  const ways: readonly (() => Certificate)[] = [
    () => readCertificate(content, 'the certificate'),
    () => readCertificate(content, 'the certificate', PROFILES.cursive),
    () => readCertificate(decoded, 'the certificate'),
  ]
  let fault: string | undefined
  for (const read of ways) {
    try {
      return { certificate: read(), fault: undefined, castellan }
    } catch (error) {
      if (!(error instanceof VolsealError)) throw error
      fault ??= error.message
    }
  }
  return { certificate: undefined, fault, castellan }
}

/** The same options, by which each secret is fetched once, however often it is asked for. */
export function fetchingOnce<Options extends JudgeOptions>(options: Options): Options {
  const { keyManager } = options
  return keyManager === undefined ? options : { ...options, keyManager: fetchOnce(keyManager) }
}

/** Fetches each secret once; every `fetch` hands out a copy, which its receiver wipes. */
function fetchOnce(source: SecretSource): SecretSource {
  const fetched = new Map<string, Promise<FetchedSecret>>()
  return {
    async fetch(id) {
      const fetching = fetched.get(id) ?? source.fetch(id).then(withoutKey)
      fetched.set(id, fetching)
      const secret = await fetching
      return { ...secret, payload: new Secret(Buffer.from(secret.payload.bytes())) }
    },
    describe: async (id) => await source.describe(id),
  }
}

/** A key that is taken for a certificate by mistake is not kept: its type is all that is needed. */
function withoutKey(secret: FetchedSecret): FetchedSecret {
  if (secret.type === 'certificate') return secret
  secret.payload.wipe()
  return { ...secret, payload: new Secret(Buffer.alloc(0)) }
}
