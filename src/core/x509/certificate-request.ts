import { createPublicKey, type KeyObject } from 'node:crypto'
import { VolsealError } from '../errors.js'
import { toPem } from '../pem.js'
import { parseName } from './distinguished-name.js'
import { signerUsage } from './key-usage.js'
import {
  type Name,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
} from './library.js'
import {
  HELD_KEY,
  isSignedBy,
  nodeSigner,
  requireSigningAlgorithm,
  type SignedBytes,
} from './signing.js'

/** Makes a PKCS#10 request (RFC 2986) for the key and returns it as PEM. */
export async function makeRequest(subject: string, key: KeyObject): Promise<string> {
  const signing = requireSigningAlgorithm(key)
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: parseName(subject),
      keys: { privateKey: HELD_KEY, publicKey: HELD_KEY },
      signingAlgorithm: signing,
      extensions: [signerUsage()],
    },
    nodeSigner(key, signing),
  )
  return toPem('CERTIFICATE REQUEST', new Uint8Array(request.rawData))
}

/**
 * Subject and key of a request whose own signature holds.
 *
 * @param name how errors call it
 * @throws {VolsealError} `signature-malformed`
 */
export function readRequest(
  content: Buffer,
  name: string,
): { subject: Name; publicKey: KeyObject } {
  const request = parseRequest(content, name)
  const publicKey = request.subjectKey(name)
  if (isSignedBy(request.signedBytes(), publicKey)) {
    return { subject: request.subjectName, publicKey }
  }
  throw new VolsealError('signature-malformed', `${name} is not signed by its own key`)
}

/** A request as node:crypto checks it. */
class Request extends Pkcs10CertificateRequest {
  signedBytes(): SignedBytes {
    return {
      algorithm: this.asn.signatureAlgorithm.algorithm,
      content: new Uint8Array(this['tbs']),
      signature: new Uint8Array(this.signature),
    }
  }

  /** @throws {VolsealError} `signature-malformed` */
  subjectKey(name: string): KeyObject {
    try {
      const key = Buffer.from(this.publicKey.rawData)
      return createPublicKey({ key, format: 'der', type: 'spki' })
    } catch (error) {
      throw new VolsealError('signature-malformed', `${name}: its key cannot be read`, {
        cause: error,
      })
    }
  }
}

function parseRequest(content: Buffer, name: string): Request {
  try {
    return new Request(content.toString('latin1'))
  } catch (error) {
    throw new VolsealError('signature-malformed', `${name}: expected a PEM CERTIFICATE REQUEST`, {
      cause: error,
    })
  }
}
