/**
 * Does the work for all items, at most `most` of them at a time, and gives the results in the order of the
 * items. After the first failure nothing more is begun.
 *
 * @throws what the first work to fail throws
 */
export async function mapAtOnce<Item, Result>(
  items: readonly Item[],
  most: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const waiting = items.entries()
  let isOver = false
  const worker = async (): Promise<void> => {
    for (const [index, item] of waiting) {
      if (isOver) return
      try {
        results[index] = await work(item)
      } catch (error) {
        isOver = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker))
  return results
}
