import { createPublicKey, type KeyObject } from 'node:crypto'
import { count } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import type { CertificateDescription } from '../core/x509/describe-certificate.js'
import { exportKey, type KeyFile, type KeyPairPlan, makeKey, readKeyFile } from '../sign/index.js'

/** A private key as it is handed in: PEM, DER or PKCS#12 bytes, or a key of node:crypto. */
export type KeyInput = Buffer | KeyObject

/**
 * Draws a signing key and returns it as PKCS#8 PEM, encrypted when a passphrase is given; the
 * caller wipes both.
 */
export async function createKeyPair(
  plan: KeyPairPlan,
  passphrase?: Secret,
  signal?: AbortSignal,
): Promise<Secret> {
  return exportKey(await makeKey(plan, signal), passphrase)
}

/** A private key for signing and for certificates. @throws {VolsealError} */
export async function openKey(
  key: KeyInput,
  passphrase?: Secret,
  name = 'the key',
): Promise<KeyObject> {
  return Buffer.isBuffer(key) ? (await openKeyFile(key, passphrase, name)).key : key
}

/** The same, with the key's certificate when the file is PKCS#12 and holds it. @throws {VolsealError} */
export async function openKeyFile(
  content: Buffer,
  passphrase?: Secret,
  name = 'the key',
): Promise<KeyFile> {
  return await readKeyFile(content, { passphrase, name })
}

/** A CA, by its key and its certificate (PEM or DER). */
export interface CertificateIssuer {
  readonly key: KeyObject
  readonly certificate: Buffer
  /** How errors call the certificate, such as by its file's name. */
  readonly certificateName?: string | undefined
}

export interface CertificateOptions {
  /** The subject's key; not needed with `request`. */
  readonly key?: KeyObject | undefined
  /** RFC 4514 text such as `CN=image signing`; that of the request when not given. */
  readonly subject?: string | undefined
  /** A PEM request to issue for, instead of a key. */
  readonly request?: Buffer | undefined
  /** How errors call the request, such as by its file's name. */
  readonly requestName?: string | undefined
  /** Days from now; 365 when not given. */
  readonly days?: number | undefined
  /** Who issues; self-signed when not given. */
  readonly issuer?: CertificateIssuer | undefined
  /** A CA, with room for so many CAs below it. */
  readonly ca?: { readonly pathLength: number } | undefined
}

const DEFAULT_DAYS = 365
const MOST_DAYS = 36_500

/**
 * Makes an X.509 v3 certificate and returns it as PEM.
 *
 * @throws {VolsealError} `usage`, `signature-malformed`
 */
export async function createCertificate(options: CertificateOptions): Promise<string> {
  const { key, request, requestName = 'the request', issuer } = options
  if (key !== undefined && request !== undefined) {
    throw new VolsealError('usage', '--key and --request exclude each other: whose certificate?')
  }
  if (request !== undefined && issuer === undefined) {
    throw new VolsealError('usage', 'a request is issued for by a CA, and none is given', {
      hint: 'give --ca-key and --ca-cert',
    })
  }
  const { makeCertificate } = await import('../core/x509/make-certificate.js')
  const { readRequest } = await import('../core/x509/certificate-request.js')
  const asked = request === undefined ? undefined : readRequest(request, requestName)
  const subject = options.subject ?? asked?.subject
  if (subject === undefined) throw new VolsealError('usage', '--subject is missing')
  return await makeCertificate({
    subject,
    publicKey: asked?.publicKey ?? createPublicKey(requireKey(options)),
    issuer: issuer ?? { selfSignedWith: requireKey(options) },
    days: count(options.days ?? DEFAULT_DAYS, '--days', 1, MOST_DAYS),
    ca: options.ca,
  })
}

function requireKey({ key }: CertificateOptions): KeyObject {
  if (key !== undefined) return key
  throw new VolsealError('usage', 'the key of the certificate is missing', { hint: 'give --key' })
}

/** Makes a certificate request (PKCS#10) and returns it as PEM. */
export async function createRequest(subject: string, key: KeyObject): Promise<string> {
  const { makeRequest } = await import('../core/x509/certificate-request.js')
  return await makeRequest(subject, key)
}

/** What a certificate says, and which image signatures it can serve. */
export async function inspectCertificate(
  content: Buffer,
  name = 'the certificate',
): Promise<CertificateDescription> {
  const { describeCertificate } = await import('../core/x509/describe-certificate.js')
  return await describeCertificate(content, name)
}

export { isSlowToDraw, PassphraseMissing } from '../sign/index.js'
export type { CertificateDescription, KeyFile, KeyPairPlan }
