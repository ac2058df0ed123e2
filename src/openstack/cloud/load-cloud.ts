import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystem, VolsealError } from '../../core/errors.js'
import type { Proxies, TlsSettings } from '../http/http-client.js'
import type { Cloud } from './cloud.js'
import { type CloudFile, type Environment, placesOf, readCloudFile, saidOf } from './cloud-files.js'
import { loginOf, scopeOf } from './login.js'
import { chooseRegion } from './regions.js'
import { interfaceOf, servicesOf } from './services.js'
import {
  merged,
  type Setting,
  type Settings,
  textOf,
  truthOf,
  withoutAuth,
  wrong,
} from './settings.js'

/** The cloud that variables alone make, as openstacksdk calls it. */
const FROM_VARIABLES = 'envvars'

/**
 * What variables add to a cloud that a file describes: what is left out of files on purpose. The rest
 * of a file's cloud is not mixed with variables that may be those of another one.
 */
const COMPLETING: readonly string[] = [
  'password',
  'application_credential_secret',
  'token',
  'region_name',
  'interface',
  'cacert',
  'cert',
  'key',
]

/**
 * The cloud that is named by `name`, OS_CLOUD or the variables OS_*, as every OpenStack client finds
 * it: clouds.yaml, with secure.yaml over it and the profile in clouds-public.yaml under it.
 *
 * @throws {VolsealError} `usage` with the file, line and key; `not-found` when there is no such cloud
 */
export async function loadCloud(name: string | undefined, env: Environment): Promise<Cloud> {
  const wanted = name ?? nonEmpty(env['OS_CLOUD'])
  const variables = variablesOf(env)
  if (wanted === undefined || (wanted === FROM_VARIABLES && variables.has('auth_url'))) {
    const said = { settings: variables, said: variables }
    return await makeCloud(FROM_VARIABLES, 'the variables OS_*', said, env)
  }
  const file = await readCloudFile('clouds', env)
  const { known, region } = await knownOf(wanted, file, env, textOf(variables, 'region_name'))
  const settings = merged([known, completing(variables)])
  return await makeCloud(wanted, file?.path ?? '', { settings, said: known, region }, env)
}

/** What all files say of a cloud in its region. */
async function knownOf(
  name: string,
  file: CloudFile | undefined,
  env: Environment,
  wantedRegion: string | undefined,
): Promise<{ known: Settings; region: string | undefined }> {
  const secure = saidOf(await readCloudFile('secure', env), name)
  const own = merged([secure, findCloud(name, file, env)])
  const profile = await profileOf(own, env)
  const region = chooseRegion(own, profile, wantedRegion)
  return { known: withoutAuth(merged([region?.values, own, profile])), region: region?.name }
}

function findCloud(name: string, file: CloudFile | undefined, env: Environment): Settings {
  const found = saidOf(file, name)
  if (found !== undefined) return found
  if (file === undefined) {
    const places = placesOf('clouds', env).filter((place) => !/\.(yml|json)$/.test(place))
    throw new VolsealError('not-found', `the cloud ${name}: there is no ${places.join(', ')}`, {
      hint: 'OS_CLIENT_CONFIG_FILE can name a file elsewhere',
    })
  }
  const names = [...file.clouds.keys()].join(', ')
  throw new VolsealError('not-found', `the cloud ${name}: ${file.path} has ${names || 'none'}`)
}

/** What a cloud has in common with others of its provider. */
async function profileOf(said: Settings, env: Environment): Promise<Settings | undefined> {
  const name = textOf(said, 'profile', 'cloud')
  if (name === undefined) return undefined
  const found = saidOf(await readCloudFile('public', env), name)
  if (found !== undefined) return found
  throw new VolsealError('not-found', `the profile ${name}: expected it in clouds-public.yaml`, {
    hint: 'profiles that come with openstacksdk are not known here; copy it into clouds-public.yaml, or write auth_url into clouds.yaml',
  })
}

function variablesOf(env: Environment): Settings {
  const place = { line: 0, column: 0 }
  const entries = Object.entries(env).flatMap(([name, value]): [string, Setting][] =>
    name.startsWith('OS_') && value !== undefined && value !== ''
      ? [
          [
            name.slice(3).toLowerCase(),
            { node: { kind: 'text', value, place }, from: name, path: name },
          ],
        ]
      : [],
  )
  return new Map(entries)
}

function completing(variables: Settings): Settings {
  return new Map([...variables].filter(([name]) => COMPLETING.includes(name)))
}

interface Said {
  readonly settings: Settings
  /** Without what variables complete. */
  readonly said: Settings
  readonly region?: string | undefined
}

async function makeCloud(
  name: string,
  origin: string,
  { settings, said, region = textOf(settings, 'region_name') }: Said,
  env: Environment,
): Promise<Cloud> {
  const authUrl = textOf(settings, 'auth_url')
  if (authUrl === undefined) {
    throw new VolsealError('usage', `the cloud ${name}: auth_url is missing in ${origin}`)
  }
  return {
    name,
    origin,
    // Profiles of several regions have it in the address (loader.py magic_fixes).
    authUrl: authUrl.replaceAll('{region_name}', region ?? ''),
    login: loginOf(settings, name, origin, said),
    scope: scopeOf(settings),
    region,
    interface: interfaceOf(settings, 'endpoint_type', 'interface') ?? 'public',
    services: servicesOf(settings),
    tls: await tlsOf(settings, env),
    proxies: proxiesOf(env),
  }
}

/** As Python's requests reads them: in small letters first, ALL_PROXY for what has none of its own. */
function proxiesOf(env: Environment): Proxies {
  const said = (name: string): [string, string][] =>
    [name, name.toUpperCase()].flatMap((variable): [string, string][] => {
      const value = nonEmpty(env[variable])
      return value === undefined ? [] : [[variable, value]]
    })
  const first = (...names: readonly string[]): string | undefined => {
    const [found] = names.flatMap(said)
    return found === undefined ? undefined : proxyAddress(...found)
  }
  return {
    http: first('http_proxy', 'all_proxy'),
    https: first('https_proxy', 'all_proxy'),
    none: said('no_proxy')[0]?.[1],
  }
}

/** The value may hold a password, and is not shown. @throws {VolsealError} `usage` */
function proxyAddress(variable: string, value: string): string {
  const address = value.includes('://') ? value : `http://${value}`
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) return address
  throw new VolsealError(
    'usage',
    `${variable}: expected the address of a proxy for HTTP, such as http://proxy:3128, got something else`,
    { hint: 'volseal knows no SOCKS; NO_PROXY names hosts that are asked directly' },
  )
}

async function tlsOf(settings: Settings, env: Environment): Promise<TlsSettings> {
  const insecure = truthOf(settings, 'insecure') ?? truthOf(settings, 'verify') === false
  const [ca, cert, key] = await Promise.all(
    ['cacert', 'cert', 'key'].map(async (name) => await pemOf(settings, name, env)),
  )
  return { insecure, ca, cert, key }
}

async function pemOf(
  settings: Settings,
  name: string,
  env: Environment,
): Promise<Buffer | undefined> {
  const path = textOf(settings, name)
  const setting = settings.get(name)
  if (path === undefined || setting === undefined) return undefined
  const full = path.startsWith('~/') ? join(env['HOME'] ?? '/', path.slice(2)) : path
  try {
    const content = await readFile(full)
    if (!content.includes('-----BEGIN ')) throw wrong(setting, name, 'a file with PEM')
    return content
  } catch (error) {
    throw fromSystem(error, `${setting.from}: ${name}: cannot read ${full}`)
  }
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
