import { type Certificate, readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import { pemBlocks } from '../core/pem.js'
import { MOST_CERTIFICATES } from './check-trust.js'
import { readFields } from './fields.js'

const LABEL = 'CERTIFICATE'

/**
 * All certificates of several files, PEM with any number of them or DER.
 *
 * @throws {VolsealError} `signature-malformed` for a file that holds none, or one that is damaged;
 * `usage` when there are too many
 */
export function readCertificates(contents: readonly Buffer[], name: string): Certificate[] {
  const blocks = contents.flatMap((content) => {
    const found = blocksOf(content)
    // What holds none is read all the same, for the error that says what it holds.
    return found.length === 0 ? [content] : found
  })
  if (blocks.length > MOST_CERTIFICATES) {
    throw new VolsealError(
      'usage',
      `expected at most ${MOST_CERTIFICATES} certificates, got ${blocks.length}`,
      { hint: 'leave out those that do not lead from the signer to the trusted one' },
    )
  }
  return blocks.map((block) => readCertificate(block, name))
}

/**
 * The first certificate, which is the one that services use, and what stands behind it. Of that,
 * what cannot be read, or is too much, is left out: it can only have helped.
 */
export function readChain(content: Buffer, name: string): readonly [Certificate, Certificate[]] {
  const certificate = readCertificate(content, name)
  const others = blocksOf(content)
    .slice(1, MOST_LENGTH)
    .flatMap((block) => readOrNothing(block, name))
  return [certificate, others]
}

/** Most certificates of a chain that are looked at, as many as a path has. */
const MOST_LENGTH = 8

function readOrNothing(block: Buffer, name: string): Certificate[] {
  try {
    const certificate = readCertificate(block, name)
    readFields(certificate)
    return [certificate]
  } catch {
    return []
  }
}

function blocksOf(content: Buffer): Buffer[] {
  if (content[0] === 0x30) return [content]
  return pemBlocks(content.toString('latin1'))
    .filter(({ label }) => label === LABEL)
    .map(({ text }) => Buffer.from(text, 'latin1'))
}
