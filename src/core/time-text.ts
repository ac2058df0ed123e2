/**
 * Times as people and services write them: a day, which begins at midnight UTC, or RFC 3339 with seconds.
 * Date alone makes 3 March of 31 February, and the next day of 24 o'clock.
 */
const TIME =
  /^(\d{4}-\d\d-\d\d)(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?)(Z|[+-]\d\d:\d\d)?)?$/

/**
 * The time that a text says; undefined when it says none. A leap second is none: no clock of a computer
 * shows it.
 *
 * @param zone what a time of day without an offset from UTC means: `Z` for UTC, otherwise it is refused
 */
export function readTime(text: string, zone?: 'Z'): Date | undefined {
  const [, day = '', clock, offset = zone] = TIME.exec(text) ?? []
  if (!isDay(day)) return undefined
  if (clock === undefined) return new Date(day)
  const time = new Date(`${day}T${clock}${offset}`)
  return Number.isNaN(time.getTime()) ? undefined : time
}

function isDay(text: string): boolean {
  const day = new Date(text)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)
}
