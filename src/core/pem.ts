/** One block of a PEM text (RFC 7468): its label and the base64 between the markers, decoded. */
export interface PemBlock {
  readonly label: string
  readonly der: Buffer
  /** The block as it stands, markers included. */
  readonly text: string
}

const BLOCK = /-----BEGIN ([^-\r\n]+)-----\s[\s\S]*?-----END \1-----/g
const BODY = /-----[^-]+-----/g

/** All blocks in their order; text around them (`openssl x509 -text`) is skipped. */
export function pemBlocks(text: string): PemBlock[] {
  return [...text.matchAll(BLOCK)].map((match) => ({
    label: match[1] ?? '',
    der: Buffer.from(match[0].replaceAll(BODY, ''), 'base64'),
    text: `${match[0]}\n`,
  }))
}

/** PEM text of one block, lines of 64 characters. */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
