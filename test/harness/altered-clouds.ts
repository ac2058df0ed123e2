import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Testbed } from './testbed.js'

/** A clouds.yaml in which a user's cloud has other settings, such as `image_endpoint_override`. */
export function alteredClouds(
  testbed: Testbed,
  user: string,
  { directory, ...settings }: { readonly directory: string; readonly [setting: string]: unknown },
): string {
  const { clouds }: { clouds: Record<string, object> } = JSON.parse(
    readFileSync(testbed.clouds, 'utf8'),
  )
  const path = join(directory, `${randomUUID()}.json`)
  writeFileSync(path, JSON.stringify({ clouds: { [user]: { ...clouds[user], ...settings } } }))
  return path
}
