import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { mapAtOnce } from '../../src/core/at-once.js'

const NUMBERS = Array.from({ length: 20 }, (_, index) => index)

it('does as many at once as it may, and keeps the order', async () => {
  let running = 0
  let most = 0
  const squares = await mapAtOnce(NUMBERS, 6, async (number) => {
    running += 1
    most = Math.max(most, running)
    await sleep(20 - number)
    running -= 1
    return number * number
  })
  expect(squares).toEqual(NUMBERS.map((number) => number * number))
  expect(most).toBe(6)
})

it('lets a slow one hold up no other', async () => {
  let done = 0
  const all = mapAtOnce(NUMBERS, 3, async (number) => {
    if (number > 0) done += 1
    else await vi.waitUntil(() => done === NUMBERS.length - 1, { interval: 1 })
  })
  await expect(all).resolves.toHaveLength(NUMBERS.length)
})

it('begins nothing after a failure, and tells the first', async () => {
  const begun: number[] = []
  const all = mapAtOnce(NUMBERS, 2, async (number) => {
    begun.push(number)
    await sleep(5)
    if (number === 2) throw new Error('two')
  })
  await expect(all).rejects.toThrow('two')
  await sleep(30)
  expect(begun).toEqual([0, 1, 2, 3])
})

it('has nothing to do for nothing', async () => {
  expect(await mapAtOnce([], 4, async () => await Promise.reject(new Error('asked')))).toEqual([])
})
