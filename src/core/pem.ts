/** One block of a PEM text (RFC 7468): its label and the base64 between the markers, decoded. */
export interface PemBlock {
  readonly label: string
  readonly der: Buffer
  /** The block as it stands, markers included. */
  readonly text: string
}

const BEGIN = '-----BEGIN '
const DASHES = '-----'
const LABEL = /^[^-\r\n]{1,64}$/

/**
 * All blocks in their order; text around them (`openssl x509 -text`) is skipped. One scan forward:
 * no input makes it look at the same place again and again.
 */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = []
  let from = 0
  for (;;) {
    const begin = text.indexOf(BEGIN, from)
    if (begin === -1) return blocks
    const block = blockAt(text, begin)
    if (block !== undefined) blocks.push(block)
    from = begin + (block?.text.length ?? BEGIN.length)
  }
}

function blockAt(text: string, begin: number): PemBlock | undefined {
  const labelAt = begin + BEGIN.length
  // A label is short: a far end of it is none, and searching for it would be quadratic.
  const labelEnd = text.slice(labelAt, labelAt + 70).indexOf(DASHES)
  const label = text.slice(labelAt, labelAt + labelEnd)
  if (labelEnd === -1 || !LABEL.test(label)) return undefined
  const bodyAt = labelAt + labelEnd + DASHES.length
  const end = text.indexOf(DASHES, bodyAt)
  const footer = `-----END ${label}-----`
  if (end === -1 || !text.startsWith(footer, end)) return undefined
  return {
    label,
    der: Buffer.from(text.slice(bodyAt, end), 'base64'),
    text: `${text.slice(begin, end + footer.length)}\n`,
  }
}

/** PEM text of one block, lines of 64 characters. */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
