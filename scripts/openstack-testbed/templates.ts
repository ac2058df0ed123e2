import { readFileSync, writeFileSync } from 'node:fs'
import { TEMPLATES } from './places.js'

export type Values = Readonly<Record<string, string>>

/** A template with its `{{name}}`s filled in. */
export function render(template: string, values: Values): string {
  return readFileSync(`${TEMPLATES}/${template}`, 'utf8').replaceAll(
    /\{\{(\w+)\}\}/g,
    (_, name: string) => {
      const value = values[name]
      if (value === undefined) throw new Error(`${template}: nothing is known of {{${name}}}`)
      return value
    },
  )
}

/** Writes a rendered template to a file that only its owner reads: most hold passwords. */
export function renderTo(file: string, template: string, values: Values): void {
  writeFileSync(file, render(template, values), { mode: 0o600 })
}
