import { HASH_METHODS, KEY_TYPES } from '../../../src/core/algorithms.js'
import { json, record } from '../../../src/core/check.js'
import { parseSignature, pickProperties } from '../../../src/core/image-signature.js'
import { hold, type Target } from '../target.js'

export const SIGNATURE_TARGETS: readonly Target[] = [
  { name: 'signature-properties', seeds: makeProperties, run: readProperties },
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
