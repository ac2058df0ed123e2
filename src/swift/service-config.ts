import { VolsealError } from '../core/errors.js'

/** A section's options, by lower-case names as Python's configparser has them. */
export type ConfigSection = ReadonlyMap<string, string>

/** A configuration file of an OpenStack service. */
export interface ServiceConfig {
  /** For errors. */
  readonly file: string
  readonly sections: ReadonlyMap<string, ConfigSection>
}

/**
 * Reads a file as Swift does (configparser): `name = value` or `name: value`, comments at the
 * beginning of a line, values that go on in indented lines. `%(name)s` is refused: what it stands for
 * depends on the reader.
 *
 * @throws {VolsealError} `usage` with the line; a value is never quoted, since it may be a password
 */
export function parseConfig(text: string, file: string): ServiceConfig {
  const sections = new Map<string, Map<string, string>>()
  let section: Map<string, string> | undefined
  let name: string | undefined
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const wrong = (what: string): VolsealError =>
      new VolsealError('usage', `${file}:${index + 1}: ${what}`)
    if (/^\s*(?:[#;]|$)/.test(line)) continue
    if (/^\s/.test(line) && section !== undefined && name !== undefined) {
      section.set(name, `${section.get(name) ?? ''}\n${line.trim()}`)
      continue
    }
    const heading = /^\[([^\]]+)\]/.exec(line)?.[1]
    if (heading !== undefined) {
      section = sections.get(heading) ?? new Map<string, string>()
      sections.set(heading, section)
      name = undefined
      continue
    }
    const option = /^([^=:\s][^=:]*?)\s*[=:]\s*(.*)$/.exec(line)
    if (option === null) throw wrong('expected a section or an option with its value')
    if (section === undefined) throw wrong('expected a section before the first option')
    const [, key = '', value = ''] = option
    if (value.includes('%(')) throw wrong(`${key}: %(…)s is not read here; write the value itself`)
    name = key.toLowerCase()
    section.set(name, value.trim())
  }
  return { file, sections }
}
