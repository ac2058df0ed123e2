import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ByteSource } from './byte-source.js'
import { fromSystem } from './errors.js'

/** Bytes as they come. */
export function iterableSource(input: AsyncIterable<Uint8Array>, name: string): ByteSource {
  const iterator = input[Symbol.asyncIterator]()
  let rest: Uint8Array = new Uint8Array(0)
  let waiting = false
  return {
    name,
    size: undefined,
    fd: undefined,
    async read(into) {
      let filled = 0
      while (filled < into.length) {
        if (rest.length === 0) {
          waiting = true
          const next = await nextOf(iterator, name)
          waiting = false
          if (next === undefined) break
          rest = next
          // Empty pieces without end would leave no room for the abort that ends them.
          if (rest.length === 0) await nextTurn()
        }
        const part = rest.subarray(0, into.length - filled)
        into.set(part, filled)
        filled += part.length
        rest = rest.subarray(part.length)
      }
      return filled
    },
    unchanged: async () => await Promise.resolve(true),
    async close() {
      // A generator queues `return` behind a `next` that may never come; a stream can be told.
      if (input instanceof Readable) input.destroy()
      else if (!waiting) await iterator.return?.()
    },
  }
}

async function nextOf(
  iterator: AsyncIterator<Uint8Array>,
  name: string,
): Promise<Uint8Array | undefined> {
  try {
    const step = await iterator.next()
    return step.done === true ? undefined : step.value
  } catch (error) {
    throw fromSystem(error, `cannot read ${name}`)
  }
}
