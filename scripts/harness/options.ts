/** Says what is wrong with the command line, and ends. */
export function usage(message: string): never {
  console.error(message)
  process.exit(2)
}

/** The rows to run: all, or of each word the one of that name, or those whose name holds it. */
export function chosen<T extends { readonly name: string }>(
  rows: readonly T[],
  only: readonly string[] | undefined,
): readonly T[] {
  if (only === undefined) return rows
  const wanted = new Set(only.flatMap((word) => named(rows, word)))
  return rows.filter((row) => wanted.has(row))
}

function named<T extends { readonly name: string }>(
  rows: readonly T[],
  word: string,
): readonly T[] {
  const exact = rows.filter(({ name }) => name === word)
  if (exact.length > 0) return exact
  const found = rows.filter(({ name }) => name.includes(word))
  if (found.length > 0) return found
  return usage(`--only ${word}: expected a part of ${rows.map(({ name }) => name).join(', ')}`)
}

/** An option as a whole number of at least `least`. */
export function wholeNumber(name: string, value: string, least: number): number {
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
  if (number >= least) return number
  return usage(`${name}: expected a whole number from ${least} on, got ${value}`)
}
