import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { output, REPOSITORY } from '../harness/program.js'
import type { Link } from './markdown.js'
import type { Problem } from './problem.js'

/** The Markdown files of the repository, those included that are yet to be committed. */
export async function markdownFiles(): Promise<string[]> {
  const list = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md']
  const names = (await output(list, { cwd: REPOSITORY })).toString().split('\0')
  return names.filter((name) => name !== '' && existsSync(join(REPOSITORY, name)))
}

/** The relative links that lead nowhere; `path` is where the document lies. */
export function brokenLinks(document: string, path: string, links: readonly Link[]): Problem[] {
  return links
    .filter(({ target }) => isRelative(target) && !existsSync(fileOf(target, path)))
    .map(({ target, line }) => ({ document, line, message: `there is no file ${target}` }))
}

/** Neither a URL nor a place in the same document. */
function isRelative(target: string): boolean {
  return !/^(?:[a-z][a-z0-9+.-]*:|#|\/\/)/i.test(target)
}

/** An absolute path is one below the repository, as GitHub shows it. */
function fileOf(target: string, path: string): string {
  const file = decodeURIComponent(target.replace(/[?#].*$/, ''))
  return file.startsWith('/') ? join(REPOSITORY, file) : join(dirname(path), file)
}
