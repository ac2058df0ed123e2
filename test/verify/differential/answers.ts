import { Readable } from 'node:stream'
import {
  Secret,
  type SecretInfo,
  type SecretSource,
  VolsealError,
  verifyImage,
} from '../../../src/index.js'
import { askCursiveOfBarbican, cursiveTakesAnySalt } from '../../harness/cursive.js'
import { type Case, toJson } from './case.js'

/** `accepted`, or the error: `signature-mismatch: the image is not …`. */
export type Answer = string
export const ACCEPTED = 'accepted'

/** What the real cursive says of each. */
export function askReal(cases: readonly Case[]): Answer[] {
  const answers = askCursiveOfBarbican(cases.map(toJson))
  return answers.map((answer) => (answer.ok ? ACCEPTED : answer.error))
}

/** What volseal says, with the same salts. */
export async function askVolseal(tried: Case): Promise<Answer> {
  const salt = cursiveTakesAnySalt ? 'any' : 'max'
  const keyManager = keyManagerOf(tried)
  try {
    const { properties, image } = {
      properties: propertiesOf(tried),
      image: Readable.from([tried.image]),
    }
    await verifyImage({ image, properties, keyManager, salt, profile: 'cursive' })
    return ACCEPTED
  } catch (error) {
    if (error instanceof VolsealError) return `${error.code}: ${error.message}`
    throw error
  }
}

function propertiesOf({ signature, hash, keyType, id }: Case): Record<string, string> {
  const properties = {
    img_signature: signature,
    img_signature_hash_method: hash,
    img_signature_key_type: keyType,
    img_signature_certificate_uuid: id,
  }
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, found]) => (found === null ? [] : [[name, found]])),
  )
}

/** The key manager that answers as the case says: its errors are those of every `KeyManager`. */
function keyManagerOf({ secret }: Case): SecretSource {
  const describe = async (id: string): Promise<SecretInfo> => {
    if (secret.status !== 200) throw FAILURES[secret.status]()
    return await Promise.resolve({
      id,
      type: secret.secretType,
      contentType: secret.contentType,
      name: null,
      algorithm: null,
      bitLength: null,
      created: '2026-01-01T00:00:00.000Z',
      metadata: {},
      origin: 'stored',
    })
  }
  return {
    describe,
    async fetch(id) {
      const payload = new Secret(Buffer.from(secret.payload))
      return { ...(await describe(id)), payload }
    },
  }
}

const FAILURES = {
  403: () => new VolsealError('forbidden', 'not allowed'),
  404: () => new VolsealError('not-found', 'no such secret'),
  500: () => new VolsealError('unavailable', 'the key manager fails'),
} as const
