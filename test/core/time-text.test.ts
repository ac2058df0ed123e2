import { describe, expect, it } from 'vitest'
import { readTime } from '../../src/core/time-text.js'
import { run } from '../harness/run.js'

/** What GNU date makes of it, which knows the calendar. */
function dateOf(text: string): string {
  return run('date', ['--utc', '--date', text, '+%Y-%m-%dT%H:%M:%SZ']).toString().trim()
}

describe('a time', () => {
  it.each([
    '2026-01-31',
    '2024-02-29',
    '2000-02-29',
    '2026-12-31T23:59:59Z',
    '2026-08-22T10:00:00+05:30',
    '2026-01-01T00:30:00+02:00',
    '2026-08-22 10:00:00-08:00',
  ])('%s is the one that date(1) says', (text) => {
    expect(readTime(text)?.toISOString().replace('.000', '')).toBe(dateOf(text))
  })

  it('has fractions of a second, of which milliseconds are kept', () => {
    expect(readTime('2026-08-22T10:00:00.123456Z')).toEqual(new Date('2026-08-22T10:00:00.123Z'))
  })

  it('without a zone is none, unless somebody says which is meant', () => {
    expect(readTime('2026-08-22T10:00:00')).toBeUndefined()
    expect(readTime('2026-08-22T10:00:00', 'Z')).toEqual(new Date('2026-08-22T10:00:00Z'))
    expect(readTime('2026-08-22T10:00:00+02:00', 'Z')).toEqual(new Date('2026-08-22T08:00:00Z'))
  })

  it.each([
    ['a day that the month lacks', '2026-02-31'],
    ['29 February of a year without', '2026-02-29'],
    ['29 February of 1900', '1900-02-29'],
    ['31 June', '2026-06-31T10:00:00Z'],
    ['31 February, which an offset moves', '2026-02-31T23:00:00-02:00'],
    ['month 13', '2026-13-01'],
    ['month 0', '2026-00-10'],
    ['day 0', '2026-01-00'],
    ["24 o'clock", '2026-02-28T24:00:00Z'],
    ['a leap second', '2016-12-31T23:59:60Z'],
    ['an offset of a day', '2026-02-28T10:00:00+24:00'],
    ['minutes only', '2026-02-28T10:00Z'],
    ['a year alone', '2026'],
    ['a large year', '+012026-01-01'],
    ['words', 'yesterday'],
    ['nothing', ''],
    ['a line break behind it', '2026-01-31\n'],
  ])('is not %s', (_what, text) => {
    expect(readTime(text)).toBeUndefined()
    expect(readTime(text, 'Z')).toBeUndefined()
  })
})
