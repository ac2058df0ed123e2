import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystem, systemCode, VolsealError } from '../../core/errors.js'
import { readYaml, type YamlEntry, type YamlNode } from '../../core/yaml.js'
import { IN_AUTH, type Setting, type Settings } from './settings.js'

/** Environment variables by name, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A file of clouds as openstacksdk has it: the names under one key, and what is said of each. */
export interface CloudFile {
  readonly path: string
  readonly clouds: ReadonlyMap<string, YamlNode>
}

export type FileKind = 'clouds' | 'secure' | 'public'

interface FileRow {
  readonly name: string
  /** The variable that names the file. */
  readonly variable: string
  readonly key: string
}

const KINDS: Readonly<Record<FileKind, FileRow>> = {
  clouds: { name: 'clouds', variable: 'OS_CLIENT_CONFIG_FILE', key: 'clouds' },
  secure: { name: 'secure', variable: 'OS_CLIENT_SECURE_FILE', key: 'clouds' },
  public: { name: 'clouds-public', variable: 'OS_CLIENT_VENDOR_FILE', key: 'public-clouds' },
}

/** JSON is YAML. */
const SUFFIXES: readonly string[] = ['.yaml', '.yml', '.json']

/** Where openstacksdk looks (openstack/config/loader.py), the first file that is there counts. */
export function placesOf(kind: FileKind, env: Environment): string[] {
  const { name, variable } = KINDS[kind]
  const home = env['HOME'] ?? '/'
  const configured = env['XDG_CONFIG_HOME']
  const config = configured === undefined || configured === '' ? join(home, '.config') : configured
  const folders = [
    '.',
    join(config, 'openstack'),
    join(home, '.config/openstack'),
    '/etc/openstack',
  ]
  const named = env[variable]
  const usual = [...new Set(folders)].flatMap((folder) =>
    SUFFIXES.map((suffix) => join(folder, `${name}${suffix}`)),
  )
  return named === undefined || named === '' ? usual : [named, ...usual]
}

/** The first file of a kind that is there; undefined when there is none. */
export async function readCloudFile(
  kind: FileKind,
  env: Environment,
): Promise<CloudFile | undefined> {
  for (const path of placesOf(kind, env)) {
    const content = await readIfThere(path)
    if (content !== undefined) return await parse(path, content, KINDS[kind].key)
  }
  return undefined
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw fromSystem(error, `cannot read ${path}`)
  }
}

async function parse(path: string, content: string, key: string): Promise<CloudFile> {
  const { root, problems } = await readYaml(content, { aliases: true })
  const [problem] = problems
  if (problem !== undefined) {
    throw new VolsealError('usage', `${path}:${problem.line}:${problem.column}: ${problem.message}`)
  }
  const entries = entriesOf(root, path, 'the file').filter((entry) => entry.key === key)
  const clouds = entries.flatMap(({ value }) => entriesOf(value, path, key))
  return { path, clouds: new Map(clouds.map(({ key: name, value }) => [name, value])) }
}

/** What a file says of one cloud. @throws {VolsealError} `usage` with the place */
export function saidOf(file: CloudFile | undefined, name: string): Settings | undefined {
  const node = file?.clouds.get(name)
  return file === undefined || node === undefined ? undefined : settingsIn(node, file.path, name)
}

export function settingsIn(node: YamlNode, path: string, name: string): Settings {
  const entries = entriesOf(node, path, name)
  const inAuth = entries
    .filter(({ key }) => key === 'auth')
    .flatMap(({ value }) => entriesOf(value, path, `${name}.auth`))
  const beside = entries.filter(({ key }) => key !== 'auth')
  return new Map([
    ...beside.map((entry) => settingOf(entry, path)),
    ...inAuth.map((entry) => settingOf(entry, path, IN_AUTH)),
  ])
}

function settingOf({ key, value }: YamlEntry, path: string, prefix = ''): [string, Setting] {
  const from = `${path}:${value.place.line}:${value.place.column}`
  return [`${prefix}${key.toLowerCase().replaceAll('-', '_')}`, { node: value, from, path }]
}

function entriesOf(node: YamlNode, path: string, name: string): readonly YamlEntry[] {
  if (node.kind === 'map') return node.entries
  if (node.kind === 'nothing') return []
  const { line, column } = node.place
  throw new VolsealError('usage', `${path}:${line}:${column}: ${name}: expected keys with values`)
}
