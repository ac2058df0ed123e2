import { createPublicKey, type KeyObject } from 'node:crypto'
import { VolsealError } from '../core/errors.js'
import { pemBlocks, toPem } from '../core/pem.js'

const DER_SEQUENCE = 0x30

/**
 * A public key: SubjectPublicKeyInfo in PEM (`openssl pkey -pubout`) or DER.
 *
 * @param name how errors call it
 * @throws {VolsealError} `signature-malformed`
 */
export function readPublicKey(content: Buffer, name: string): KeyObject {
  try {
    return createPublicKey(toPem('PUBLIC KEY', spkiOf(content, name)))
  } catch (error) {
    if (error instanceof VolsealError) throw error
    throw noPublicKey(name, 'a damaged or unknown one', error)
  }
}

function spkiOf(content: Buffer, name: string): Buffer {
  if (content[0] === DER_SEQUENCE) return content
  const blocks = pemBlocks(content.toString('latin1'))
  const found = blocks.find(({ label }) => label === 'PUBLIC KEY')
  if (found !== undefined) return found.der
  const labels = blocks.map(({ label }) => label).join(', ')
  throw noPublicKey(name, labels === '' ? 'no PEM block' : labels)
}

function noPublicKey(name: string, got: string, cause?: unknown): VolsealError {
  return new VolsealError('signature-malformed', `${name}: expected a public key, got ${got}`, {
    hint: 'PEM as openssl pkey -pubout writes it, or DER; a certificate goes with --cert',
    cause,
  })
}
