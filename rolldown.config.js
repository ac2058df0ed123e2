import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'rolldown'

/**
 * The command in a few files instead of hundreds, whose loading is most of what a short command
 * takes; the library is what the compiler makes. Packages that few commands need stay outside. The
 * compiler's own files of the command stay beside it for the tests, and are not published.
 */
export default defineConfig({
  input: 'dist/cli/main.js',
  platform: 'node',
  external: ['@peculiar/x509', 'reflect-metadata', 'node-forge', 'through2', 'tmp', 'undici', 'yaml'],
  output: { dir: 'dist/cli', chunkFileNames: '[name].bundle.js' },
  plugins: [licenses()],
})

const PACKAGE = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/

/** A file with the licenses of the packages that have come along, as they ask for. */
function licenses() {
  return {
    name: 'licenses',
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap(({ moduleIds = [] }) => moduleIds)
      const packages = new Set(modules.flatMap((id) => PACKAGE.exec(id)?.[0] ?? []))
      const texts = [...packages].toSorted().map(licenseOf)
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: texts.join('\n\n') })
    },
  }
}

function licenseOf(directory) {
  const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${name} ${version} has no license file`)
  return `${name} ${version}\n\n${readFileSync(join(directory, file), 'utf8').trim()}\n`
}
