import { constants, verify } from 'node:crypto'
import { Readable } from 'node:stream'
import { HASH_METHODS, hashMethod, KEY_TYPES } from '../../../src/core/algorithms.js'
import { openSource } from '../../../src/core/byte-source.js'
import { readCertificate } from '../../../src/core/certificate.js'
import { json, record, text } from '../../../src/core/check.js'
import { maxSaltLength } from '../../../src/core/emsa-pss.js'
import { VolsealError } from '../../../src/core/errors.js'
import {
  parseSignature,
  pickProperties,
  type SignatureProperties,
} from '../../../src/core/image-signature.js'
import { PROFILE_NAMES, PROFILES, type ProfileName } from '../../../src/core/profiles.js'
import { decodePythonBase64 } from '../../../src/core/python-base64.js'
import { makeCertificate } from '../../../src/core/x509/make-certificate.js'
import { verifyImage } from '../../../src/face/verify.js'
import { makeKey, makeSigner, signSource } from '../../../src/sign/index.js'
import { hold, type Target } from '../target.js'

export const SIGNATURE_TARGETS: readonly Target[] = [
  { name: 'signature-properties', seeds: makeProperties, run: readProperties },
  { name: 'signed-image', seeds: makeSignedImages, run: verifySignedImage },
]

const UUID = '2f6f4a2c-9e6f-4b71-8d0b-5b1f1b7a1c11'

function makeProperties(): Buffer[] {
  return HASH_METHODS.flatMap((hash) =>
    KEY_TYPES.flatMap((type) => {
      const properties = {
        img_signature: Buffer.alloc(64, 5).toString('base64'),
        img_signature_hash_method: hash.name,
        img_signature_key_type: type.name,
        img_signature_certificate_uuid: UUID,
      }
      return [properties, { name: 'x', properties: { ...properties, os_hidden: false } }]
    }),
  ).map((value) => Buffer.from(JSON.stringify(value)))
}

/** As `volseal verify --properties` reads them. */
function readProperties(bytes: Buffer): void {
  const properties = pickProperties(record(json(bytes.toString(), 'a.json'), 'a.json'))
  for (const certificateKnown of [false, true]) {
    const parsed = parseSignature(properties, { certificateKnown })
    const { signature, hash, keyType, certificateId } = parsed
    hold(signature.length > 0, 'a signature has bytes')
    hold(signature.toString('base64') === properties.img_signature, 'the signature is all of it')
    hold(hash.name === properties.img_signature_hash_method, 'the hash is the one named')
    hold(keyType.name === properties.img_signature_key_type, 'the key type is the one named')
    hold(certificateKnown || certificateId !== undefined, 'a certificate is named')
  }
}

/** Seeds of a signed image: one JSON text with its properties, certificate and bytes. */
async function makeSignedImages(): Promise<Buffer[]> {
  const made: Buffer[] = []
  for (const keyType of ['RSA-PSS', 'ECC_SECP384R1'] as const) {
    const key = await makeKey({ keyType, bits: keyType === 'RSA-PSS' ? 2048 : undefined })
    const signer = makeSigner(key, undefined, UUID)
    const plan = { subject: 'CN=x', issuer: { selfSignedWith: key }, days: 2 }
    const certificate = await makeCertificate({ ...plan, publicKey: signer.publicKey })
    for (const hash of HASH_METHODS) {
      const source = await openSource(imageOf(IMAGE), 'image')
      const { properties } = await signSource(source, signer, hash)
      made.push(Buffer.from(JSON.stringify({ ...properties, certificate, image: IMAGE })))
    }
  }
  return made
}

const IMAGE = 'an image of some bytes'
const imageOf = (content: string) => Readable.from([Buffer.from(content)])

/** What either profile accepts, OpenSSL accepts too, with the key of the certificate. */
async function verifySignedImage(bytes: Buffer): Promise<void> {
  const given = record(json(bytes.toString(), 'a.json'), 'a.json')
  const [certificate, image] = ['certificate', 'image'].map((name) => text(given[name], name))
  const from = { properties: pickProperties(given), certificate: certificate ?? '' }
  for (const profile of PROFILE_NAMES) {
    if (!(await isAccepted(from, image ?? '', profile))) continue
    hold(opensslAccepts(from, image ?? '', profile), `OpenSSL accepts what ${profile} accepts`)
  }
}

interface Given {
  readonly properties: SignatureProperties
  readonly certificate: string
}

async function isAccepted(
  { properties, certificate }: Given,
  image: string,
  profile: ProfileName,
): Promise<boolean> {
  const options = { properties, certificate: Buffer.from(certificate, 'latin1'), profile }
  try {
    const report = await verifyImage({ ...options, image: imageOf(image) })
    return report.ok
  } catch (error) {
    if (error instanceof VolsealError && error.code !== 'internal') return false
    throw error
  }
}

function opensslAccepts({ properties, certificate }: Given, image: string, profile: ProfileName) {
  const decoded = decodePythonBase64(properties.img_signature ?? '')
  const content = Buffer.from(certificate, 'latin1')
  const { publicKey: key } = readCertificate(content, 'cert.pem', PROFILES[profile])
  const hash = hashMethod(properties.img_signature_hash_method ?? '')
  const saltLength = maxSaltLength(key.asymmetricKeyDetails?.modulusLength ?? 0, hash)
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
  const options = key.asymmetricKeyType === 'rsa' ? { key, ...pss } : { key }
  return decoded.ok && verify(hash.node, Buffer.from(image), options, decoded.bytes)
}
