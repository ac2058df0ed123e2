import type { Document, LineCounter, ParsedNode } from 'yaml'

/**
 * The only importer of yaml: YAML 1.2 as a tree that knows its places, for files that people write and
 * on which security depends. What makes one text mean two things to two readers is a problem, not a
 * feature: anchors and aliases (and so their bombs), tags, merge keys, duplicate keys, directives,
 * several documents.
 */
type Yaml = typeof import('yaml')

/** Where something stands in a text; both count from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** What is wrong at a place. */
export interface Problem extends Place {
  readonly message: string
}

export interface YamlEntry {
  readonly key: string
  readonly place: Place
  readonly value: YamlNode
}

export type YamlNode = { readonly place: Place } & (
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'list'; readonly items: readonly YamlNode[] }
  | { readonly kind: 'map'; readonly entries: readonly YamlEntry[] }
)

export interface YamlText {
  /** Not to be relied on when there are problems. */
  readonly root: YamlNode
  readonly problems: readonly Problem[]
}

export interface YamlOptions {
  /**
   * Whether aliases and merge keys (`<<`) are followed, for files whose every reader does so, and of
   * which only their writer depends. False when not given.
   */
  readonly aliases?: boolean | undefined
}

/** More than this many characters of hostile text would take seconds. */
const MOST_CHARACTERS = 32 * 1024
/** The library calls itself for each level, and could fill the stack. */
const MOST_LEVELS = 30

/** Aliases of aliases would make any number of nodes. */
const MOST_NODES = 20_000

const START: Place = { line: 1, column: 1 }

/** Reads one document; never throws for what the text is. */
export async function readYaml(text: string, options: YamlOptions = {}): Promise<YamlText> {
  const yaml = await import('yaml')
  const { length } = text
  if (length > MOST_CHARACTERS) return tooMuch(`${MOST_CHARACTERS} characters`, String(length))
  const lines = new yaml.LineCounter()
  const [document, ...others] = parse(yaml, text, lines) ?? []
  if (document === undefined) return tooMuch(`${MOST_LEVELS} levels`, 'more')
  const problems = problemsOf(document, lines)
  if (others.length > 0) problems.push({ ...START, message: 'expected one document, got several' })
  const reader = new Reader(yaml, { lines, problems, document, ...options })
  // What the library could not understand, it has made something of.
  const root = problems.length === 0 ? reader.read(document.contents) : nothing(START)
  return { root, problems: problems.toSorted(byPlace) }
}

function tooMuch(most: string, got: string): YamlText {
  const message = `expected at most ${most}, got ${got}`
  return { root: nothing(START), problems: [{ ...START, message }] }
}

function nothing(place: Place): YamlNode {
  return { kind: 'nothing', place }
}

export function byPlace(a: Place, b: Place): number {
  return a.line - b.line || a.column - b.column
}

/** The documents; undefined when the text is nested too deeply to compose. */
function parse(yaml: Yaml, text: string, lines: LineCounter): Document.Parsed[] | undefined {
  const parser = new yaml.Parser(lines.addNewLine)
  const tokens = []
  // Which parser.parse would do.
  lines.addNewLine(0)
  for (const lexeme of new yaml.Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token)
    if (parser.stack.length > MOST_LEVELS) return undefined
  }
  for (const token of parser.end()) tokens.push(token)
  const composer = new yaml.Composer({
    version: '1.2',
    schema: 'core',
    merge: false,
    // Ours looks once at each key; the library's compares each with all others.
    uniqueKeys: false,
    logLevel: 'silent',
  })
  return [...composer.compose(tokens, true, text.length)]
}

/** The first is enough: those that follow are mostly its consequence. */
function problemsOf(
  { errors, warnings, directives }: Document.Parsed,
  lines: LineCounter,
): Problem[] {
  const [first] = [...errors, ...warnings].toSorted((a, b) => a.pos[0] - b.pos[0])
  if (first !== undefined) {
    return [{ ...placeAt(lines, first.pos[0]), message: `no YAML: ${first.message}` }]
  }
  if (directives.yaml.explicit !== true) return []
  return [{ ...START, message: 'directives such as %YAML are not allowed' }]
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(1, line), column: Math.max(1, col) }
}

interface Reading extends YamlOptions {
  readonly lines: LineCounter
  readonly problems: Problem[]
  readonly document: Document.Parsed
}

class Reader {
  readonly #yaml: Yaml
  readonly #reading: Reading
  #nodes = 0
  #level = 0

  constructor(yaml: Yaml, reading: Reading) {
    this.#yaml = yaml
    this.#reading = reading
  }

  read(node: ParsedNode | null): YamlNode {
    if (node === null) return nothing(START)
    const place = placeAt(this.#reading.lines, node.range[0])
    this.#nodes += 1
    // An alias within what it names has no end.
    if (this.#nodes > MOST_NODES || this.#level > MOST_LEVELS) {
      return this.#refuse(place, 'the aliases make too much of it')
    }
    this.#level += 1
    const found = this.#readNode(node, place)
    this.#level -= 1
    return found
  }

  #readNode(node: ParsedNode, place: Place): YamlNode {
    const { aliases = false, document } = this.#reading
    if (this.#yaml.isAlias(node)) {
      if (!aliases) return this.#refuse(place, 'aliases (*) are not allowed')
      const target = node.resolve(document)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all of the document is parsed
      if (target !== undefined) return { ...this.read(target as ParsedNode), place }
      return this.#refuse(place, `the alias *${node.source} names nothing`)
    }
    if (node.anchor !== undefined && !aliases) {
      return this.#refuse(place, 'anchors (&) are not allowed')
    }
    if (node.tag !== undefined) return this.#refuse(place, 'tags (!) are not allowed')
    if (this.#yaml.isMap(node)) return { kind: 'map', place, entries: this.#entries(node.items) }
    if (this.#yaml.isSeq(node)) {
      return { kind: 'list', place, items: node.items.map((item) => this.read(item)) }
    }
    return this.#scalar(node.value, place)
  }

  #scalar(value: unknown, place: Place): YamlNode {
    if (typeof value === 'string') return { kind: 'text', value, place }
    if (typeof value === 'number') return { kind: 'number', value, place }
    if (typeof value === 'boolean') return { kind: 'boolean', value, place }
    return nothing(place)
  }

  #entries(pairs: readonly { key: ParsedNode; value: ParsedNode | null }[]): YamlEntry[] {
    const seen = new Set<string>()
    const merged: YamlEntry[] = []
    const own = pairs.flatMap(({ key: keyNode, value: valueNode }) => {
      const key = this.read(keyNode)
      const { place } = key
      if (key.kind !== 'text') {
        this.#refuse(place, 'expected a name before the colon')
        return []
      }
      if (seen.has(key.value)) {
        this.#refuse(place, `${JSON.stringify(key.value)} is there twice`)
        return []
      }
      seen.add(key.value)
      const value = valueNode === null ? nothing(place) : this.read(valueNode)
      if (key.value === '<<' && this.#reading.aliases === true) {
        merged.push(...this.#mergedEntries(value))
        return []
      }
      return { key: key.value, place, value }
    })
    return [...own, ...firstOfEach(merged, seen)]
  }

  /** Of a merge key (YAML 1.1, "Merge Key Language-Independent Type"): a map, or a list of maps. */
  #mergedEntries(value: YamlNode): readonly YamlEntry[] {
    if (value.kind === 'map') return value.entries
    if (value.kind === 'list') return value.items.flatMap((item) => this.#mergedEntries(item))
    this.#refuse(value.place, 'expected keys with values behind <<')
    return []
  }

  #refuse(place: Place, message: string): YamlNode {
    this.#reading.problems.push({ ...place, message })
    return nothing(place)
  }
}

/** What is merged adds keys, and replaces none; of two, the first counts. */
function firstOfEach(entries: readonly YamlEntry[], taken: Set<string>): YamlEntry[] {
  return entries.filter(({ key }) => {
    const isNew = !taken.has(key)
    taken.add(key)
    return isNew
  })
}
