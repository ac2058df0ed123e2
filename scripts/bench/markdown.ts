/** A table as Markdown. */
export function markdownTable(
  heading: readonly string[],
  lines: readonly (readonly string[])[],
): string {
  const rule = heading.map(() => '---')
  return [heading, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}
