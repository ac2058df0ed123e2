/** The parts of a Markdown document that can be wrong: its examples and its links. */
export interface MarkdownDocument {
  readonly blocks: readonly Block[]
  readonly links: readonly Link[]
}

/** A fenced code block (CommonMark 0.31 §4.5). */
export interface Block {
  /** The words behind the fence: `sh`, `sh no-run`, `ts`. */
  readonly info: string
  /** The line of its first line, the document's first being 1. */
  readonly line: number
  readonly text: string
}

export interface Link {
  readonly target: string
  readonly line: number
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*?)\s*$/
/** `[text](target)`, `[text](target "title")` and the same with `<target>`. */
const INLINE_LINK = /\]\(\s*<?([^()<>\s]+(?:\([^()\s]*\))?)>?(?:\s+["'(][^)]*)?\)/g
const REFERENCE = /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/
const CODE_SPAN = /`[^`]*`/g

export function parseMarkdown(text: string): MarkdownDocument {
  const blocks: Block[] = []
  const links: Link[] = []
  const lines = text.split('\n')
  for (let index = 0; index < lines.length; index += 1) {
    const block = blockAt(lines, index)
    if (block === undefined) links.push(...linksIn(lines[index] ?? '', index + 1))
    else {
      blocks.push(block.block)
      index = block.end
    }
  }
  return { blocks, links }
}

function blockAt(
  lines: readonly string[],
  index: number,
): { block: Block; end: number } | undefined {
  const [, fence, info = ''] = FENCE.exec(lines[index] ?? '') ?? []
  if (fence === undefined) return undefined
  const closing = new RegExp(`^ {0,3}${fence[0] ?? ''}{${fence.length},}\\s*$`)
  const length = lines.slice(index + 1).findIndex((line) => closing.test(line))
  const end = length === -1 ? lines.length : index + 1 + length
  const text = lines.slice(index + 1, end).join('\n')
  return { block: { info, line: index + 2, text: `${text}\n` }, end }
}

function linksIn(line: string, number: number): Link[] {
  const plain = line.replaceAll(CODE_SPAN, '')
  const inline = [...plain.matchAll(INLINE_LINK)].map((match) => match[1] ?? '')
  const reference = REFERENCE.exec(plain)?.[1]
  const targets = reference === undefined ? inline : [...inline, reference]
  return targets.map((target) => ({ target, line: number }))
}
