import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { fromSystem, VolsealError } from '../core/errors.js'

/** An image that was read and is what was signed. */
export interface JournalEntry {
  readonly imageId: string
  /** Of all that Glance says of it on which the verdict depends. */
  readonly essence: string
  /** ISO 8601, UTC: when it was read. */
  readonly at: string
}

const HEAD = '{"volseal":"images-verified","version":1}'
const FINISHED = '{"finished":true}'

/**
 * What a run has accepted so far, a line of JSON each, so that a run of hours that was ended goes on where
 * it was. Once it has come to its end, the next one reads everything again: what lies in a store may rot.
 * A line that was cut off by a power cut is dropped.
 */
export class VerificationJournal {
  readonly #file: FileHandle
  readonly #path: string
  readonly #entries: Map<string, JournalEntry>

  private constructor(file: FileHandle, path: string, entries: Map<string, JournalEntry>) {
    this.#file = file
    this.#path = path
    this.#entries = entries
  }

  /** Opens it, or begins one. @throws {VolsealError} `usage` for a file that is something else, `io` */
  static async open(path: string): Promise<VerificationJournal> {
    const file = await open(path, 'a+', 0o600).catch((error: unknown) => {
      throw fromSystem(error, `cannot open ${path}`)
    })
    try {
      const text = await file.readFile('utf8')
      const whole = text.slice(0, text.lastIndexOf('\n') + 1)
      const [head = '', ...lines] = whole.split('\n')
      if (text !== '' && !HEAD.startsWith(text.slice(0, HEAD.length))) throw foreign(path)
      if (whole !== '' && head !== HEAD) throw foreign(path)
      if (whole.length < text.length) await file.truncate(Buffer.byteLength(whole))
      if (whole === '') await file.appendFile(`${HEAD}\n`)
      const isOver = lines.includes(FINISHED)
      if (isOver) await file.truncate(HEAD.length + 1)
      return new VerificationJournal(file, path, isOver ? new Map() : readEntries(lines))
    } catch (error) {
      await file.close()
      throw fromSystem(error, `cannot read ${path}`)
    }
  }

  /** What is known of an image as it is now. */
  find(imageId: string, essence: string): JournalEntry | undefined {
    const entry = this.#entries.get(imageId)
    return entry?.essence === essence ? entry : undefined
  }

  async add(entry: JournalEntry): Promise<void> {
    await this.#file.appendFile(`${JSON.stringify(entry)}\n`).catch((error: unknown) => {
      throw fromSystem(error, `cannot write ${this.#path}`)
    })
  }

  /** The run has come to its end. */
  async finish(): Promise<void> {
    await this.#file.appendFile(`${FINISHED}\n`).catch((error: unknown) => {
      throw fromSystem(error, `cannot write ${this.#path}`)
    })
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** A digest of values, for `JournalEntry.essence`. */
export function essenceOf(values: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('hex')
}

function foreign(path: string): VolsealError {
  return new VolsealError(
    'usage',
    `${path} is no list of verified images: expected one, or a new file`,
  )
}

/** The last one of an image counts. */
function readEntries(lines: readonly string[]): Map<string, JournalEntry> {
  const entries = new Map<string, JournalEntry>()
  for (const line of lines) {
    const entry = readEntry(line)
    if (entry !== undefined) entries.set(entry.imageId, entry)
  }
  return entries
}

/** A line that cannot be understood costs a second reading, and no more. */
function readEntry(line: string): JournalEntry | undefined {
  try {
    const { imageId, essence, at }: Record<string, unknown> = JSON.parse(line)
    if (typeof imageId !== 'string' || typeof essence !== 'string' || typeof at !== 'string') {
      return undefined
    }
    return { imageId, essence, at }
  } catch {
    return undefined
  }
}
