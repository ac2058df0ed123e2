/**
 * The PEM that castellan can load: its BarbicanKeyManager hands the secret's bytes to
 * python-cryptography's `load_pem_x509_certificate` (38.0.4: the Rust crate `pem`, 1.x), which wants
 * every block in the text to be sound, and takes the first certificate.
 */
export type CastellanPem =
  | { readonly ok: true; readonly der: Buffer }
  /** Why not; a clause such as `it is DER`. */
  | { readonly ok: false; readonly reason: string }

/** What DER begins with (X.690 §8.9). */
const SEQUENCE = 0x30

const BEGIN = '-----BEGIN '
const END = '-----END '
const DASHES = '-----'
const LABELS: readonly string[] = ['CERTIFICATE', 'X509 CERTIFICATE']

interface Block {
  readonly label: string
  readonly der: Buffer
}

/** The first certificate of a payload, as castellan finds it. */
export function readCastellanPem(content: Buffer): CastellanPem {
  const blocks = blocksOf(content.toString('latin1'))
  if (blocks === undefined) return unreadable('a PEM block in it is damaged')
  const found = blocks.find(({ label }) => LABELS.includes(label))
  if (found !== undefined) return { ok: true, der: found.der }
  if (content[0] === SEQUENCE) return unreadable('it is DER, and castellan reads PEM only')
  const labels = blocks.map(({ label }) => label).join(', ')
  return unreadable(labels === '' ? 'there is no PEM block in it' : `it has only ${labels}`)
}

function unreadable(reason: string): CastellanPem {
  return { ok: false, reason }
}

/** All blocks, or undefined when one of them is damaged. One scan forward. */
function blocksOf(text: string): Block[] | undefined {
  const blocks: Block[] = []
  let from = 0
  for (;;) {
    const labelAt = after(text, BEGIN, from)
    const bodyAt = after(text, DASHES, labelAt)
    const footerAt = after(text, END, bodyAt)
    const next = after(text, DASHES, footerAt)
    if (next === NOT_FOUND) return blocks
    const label = text.slice(labelAt, bodyAt - DASHES.length)
    const footer = text.slice(footerAt, next - DASHES.length)
    const der = decode(text.slice(bodyAt, footerAt - END.length))
    if (label === '' || footer !== label || der === undefined) return undefined
    blocks.push({ label, der })
    from = next
  }
}

const NOT_FOUND = -1

/**
 * Where the text goes on behind the next `mark`; what follows something that is missing is too. As
 * in the crate, a mismatch begins the search anew behind it: `------BEGIN` is no beginning.
 */
function after(text: string, mark: string, from: number): number {
  if (from === NOT_FOUND) return NOT_FOUND
  let matched = 0
  for (let at = from; at < text.length; at += 1) {
    matched = text[at] === mark[matched] ? matched + 1 : 0
    if (matched === mark.length) return at + 1
  }
  return NOT_FOUND
}

/** Lines of base64, with blanks at most at their ends; the padding may be missing. */
function decode(body: string): Buffer | undefined {
  if (!/^\p{ASCII}*$/u.test(body)) return undefined
  const data = body
    .replace(/^[ \t\n\r]+/, '')
    .split('\n')
    .map((line) => line.trimEnd())
    .join('')
  const symbols = data.replace(/={0,2}$/, '')
  const padding = data.length - symbols.length
  const pending = symbols.length % 4
  const isWhole = pending !== 1 && (padding === 0 || (pending > 0 && pending + padding <= 4))
  if (!isWhole || !/^[A-Za-z0-9+/]*$/.test(symbols)) return undefined
  const der = Buffer.from(symbols, 'base64')
  return der.toString('base64').replace(/=*$/, '') === symbols ? der : undefined
}
