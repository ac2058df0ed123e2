const HIDDEN = '[secret]'
const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1')

/**
 * Bytes that must not be seen: they print as `[secret]` or not at all (`util.inspect` does not show
 * private fields) however they are logged, and are zeroed by whoever made them. Wiping is honest work, not magic: V8 may have moved or copied what was ever a
 * string, so secret bytes are never turned into one.
 */
export class Secret {
  readonly #bytes: Buffer

  /** Takes the buffer over: it is the one that `wipe` zeroes. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** The bytes themselves, not a copy. */
  bytes(): Buffer {
    return this.#bytes
  }

  get length(): number {
    return this.#bytes.length
  }

  /** The bytes as lower-case hex digits (ASCII): what os-brick calls the passphrase. */
  hex(): Secret {
    const text = Buffer.alloc(this.#bytes.length * 2)
    for (const [index, byte] of this.#bytes.entries()) {
      text[index * 2] = HEX_DIGITS[byte >> 4] ?? 0
      text[index * 2 + 1] = HEX_DIGITS[byte & 15] ?? 0
    }
    return new Secret(text)
  }

  /** An independent copy, to be wiped on its own. */
  copy(): Secret {
    return new Secret(Buffer.from(this.#bytes))
  }

  wipe(): void {
    this.#bytes.fill(0)
  }

  toString(): string {
    return HIDDEN
  }

  toJSON(): string {
    return HIDDEN
  }
}

/** Runs `use` with the secret and zeroes it afterwards, whatever happens. */
export async function consume<T>(
  secret: Secret,
  use: (secret: Secret) => Promise<T> | T,
): Promise<T> {
  try {
    return await use(secret)
  } finally {
    secret.wipe()
  }
}
