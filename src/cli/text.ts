/** Lines of `label  value`, the values in one column, several of a label below each other. */
export function rows(
  pairs: readonly (readonly [label: string, value: string | readonly string[]])[],
): string {
  const width = Math.max(...pairs.map(([label]) => label.length))
  const below = `\n${' '.repeat(width + 2)}`
  return pairs
    .map(([label, value]) => {
      const lines = typeof value === 'string' ? [value] : value
      return `${label.padEnd(width)}  ${lines.map(printable).join(below)}`
    })
    .join('\n')
}

/** A table with a heading; the last column is not padded. */
export function table(heading: readonly string[], lines: readonly (readonly string[])[]): string {
  const all = [heading, ...lines.map((line) => line.map(printable))]
  const widths = heading.map((_, column) =>
    Math.max(...all.map((line) => (line[column] ?? '').length)),
  )
  return all
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Indents every line by two spaces. */
export function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}

/** `1 secret`, `2 secrets`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/**
 * One line of text that anybody may have written: nothing in it moves a terminal's cursor or turns
 * its text around.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, '?')
}
