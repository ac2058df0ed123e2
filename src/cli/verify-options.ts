import { existsSync } from 'node:fs'
import { readSmallFile } from '../core/byte-source.js'
import { isUuid } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import type { SignatureProperties } from '../core/image-signature.js'
import type { SecretSource } from '../face/key-store.js'
import type { JudgeOptions } from '../face/verify.js'
import { readOptional, readProperties, readSignature } from './inputs.js'
import type { KeyManagerChoice } from './key-manager-options.js'

/** The options that say what an image is judged by, alike in `verify` and `write`. */
export interface VerifyChoice extends KeyManagerChoice {
  readonly properties?: string | undefined
  readonly signature?: string | undefined
  readonly hash?: string | undefined
  readonly keyType?: string | undefined
  readonly cert?: string | undefined
  readonly certId?: string | undefined
  readonly trusted?: string[] | undefined
  readonly salt: 'max' | 'any'
}

/** Reads all that the options name, as the library takes it. */
export async function judgeOptions(
  image: string,
  choice: VerifyChoice,
  secrets: SecretSource,
): Promise<JudgeOptions> {
  return {
    properties: await propertiesOf(image, choice),
    certificate: await readOptional(choice.cert, 'certificate'),
    certificateId: choice.certId,
    trusted: await trustedCertificates(choice.trusted ?? [], secrets),
    keyManager: secrets,
    salt: choice.salt,
  }
}

async function propertiesOf(image: string, choice: VerifyChoice): Promise<SignatureProperties> {
  const { properties, signature } = choice
  if (properties !== undefined && signature !== undefined) {
    throw new VolsealError('usage', '--properties and --signature exclude each other')
  }
  if (signature !== undefined) return await singleProperties(signature, choice)
  if (properties !== undefined) return await readProperties(properties)
  const beside = `${image}.signature.json`
  return existsSync(beside) ? await readProperties(beside) : {}
}

async function singleProperties(
  signature: string,
  { hash, keyType, certId }: VerifyChoice,
): Promise<SignatureProperties> {
  if (hash === undefined || keyType === undefined) {
    throw new VolsealError('usage', '--signature needs --hash and --key-type beside it')
  }
  return {
    img_signature: await readSignature(signature),
    img_signature_hash_method: hash,
    img_signature_key_type: keyType,
    ...(certId === undefined ? {} : { img_signature_certificate_uuid: certId }),
  }
}

async function trustedCertificates(
  named: readonly string[],
  secrets: SecretSource,
): Promise<Buffer[]> {
  return await Promise.all(
    named.map(async (name) => {
      if (!isUuid(name)) return await readSmallFile(name, 'certificate')
      const { payload } = await secrets.get(name)
      return payload.bytes()
    }),
  )
}
