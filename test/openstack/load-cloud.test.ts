import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadCloud } from '../../src/openstack/index.js'
import { outputOf } from '../harness/program.js'
import { scratchDirectory } from '../harness/run.js'

type Cloud = Awaited<ReturnType<typeof loadCloud>>

const scratch = scratchDirectory()
const AUTH = { auth_url: 'http://k:5000', username: 'u', password: 'p', project_name: 'q' }

/** A home with files in it, JSON or text; paths are below `.config/openstack`. */
function home(files: Readonly<Record<string, unknown>>): Record<string, string> {
  const directory = mkdtempSync(join(scratch, 'home-'))
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, '.config/openstack', name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  }
  return { HOME: directory }
}

async function load(
  cloud: object,
  more: Readonly<Record<string, string>> = {},
  name: string | undefined = 'c',
): Promise<Cloud> {
  return await loadCloud(name, { ...home({ 'clouds.yaml': { clouds: { c: cloud } } }), ...more })
}

const outcome = async (loading: Promise<Cloud>): Promise<unknown> =>
  await loading.then(
    () => 'ok',
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
  )

describe('a cloud', () => {
  it('is read with its secrets, which do not print', async () => {
    const cloud = await load({ auth: AUTH, region_name: 'r', interface: 'internalURL' })
    expect(cloud).toMatchObject({
      name: 'c',
      authUrl: 'http://k:5000',
      scope: { kind: 'project', project: { name: 'q', domain: { id: 'default' } } },
      region: 'r',
      interface: 'internal',
    })
    expect(JSON.stringify(cloud)).toContain('"password":"[secret]"')
  })

  it('takes its password from secure.yaml, or from a variable', async () => {
    const { password: _, ...rest } = AUTH
    const clouds = { clouds: { c: { auth: rest } } }
    const secure = { clouds: { c: { auth: { password: 'secure' } } } }
    const passwordOf = ({ login }: Cloud): string =>
      login.kind === 'password' ? login.password.bytes().toString() : ''
    const files = home({ 'clouds.yaml': clouds, 'secure.yaml': secure })
    expect(passwordOf(await loadCloud('c', files))).toBe('secure')
    expect(passwordOf(await load({ auth: rest }, { OS_PASSWORD: 'variable' }))).toBe('variable')
    // What a file says is not changed by variables that may be another cloud's.
    const others = { OS_PASSWORD: 'variable', OS_USERNAME: 'other', OS_REGION_NAME: 'other' }
    const cloud = await load({ auth: AUTH, region_name: 'r' }, others)
    expect(passwordOf(cloud)).toBe('p')
    expect(cloud).toMatchObject({ login: { user: { name: 'u' } }, region: 'r' })
  })

  it('takes a profile from clouds-public.yaml', async () => {
    const files = home({
      'clouds.yaml': { clouds: { c: { profile: 'p', auth: { ...AUTH, auth_url: undefined } } } },
      'clouds-public.yaml': { 'public-clouds': { p: { auth: { auth_url: 'https://p' } } } },
    })
    expect((await loadCloud('c', files)).authUrl).toBe('https://p')
    expect(await outcome(load({ profile: 'unknown', auth: AUTH }))).toMatch(
      /^not-found: the profile/,
    )
  })

  it('has its domain beside a project for both, and is not what a variable of another cloud makes it', async () => {
    const both = await load({ auth: { ...AUTH, domain_name: 'corp' } })
    expect(both).toMatchObject({
      login: { user: { name: 'u', domain: { name: 'corp' } } },
      scope: { kind: 'project', project: { name: 'q', domain: { name: 'corp' } } },
    })
    const more = { OS_APPLICATION_CREDENTIAL_SECRET: 's', OS_TOKEN: 't' }
    expect(await load({ auth: AUTH }, more)).toMatchObject({ login: { kind: 'password' } })
    const without = { ...AUTH, password: undefined }
    expect(await outcome(load({ auth: without }, more))).toContain('password is missing')
  })

  it('goes through the proxies of the environment', async () => {
    const env = { http_proxy: 'proxy:3128', ALL_PROXY: 'https://all:1', no_proxy: 'a,b' }
    expect(await load({ auth: AUTH }, env)).toMatchObject({
      proxies: { http: 'http://proxy:3128', https: 'https://all:1', none: 'a,b' },
    })
    const wrong = await outcome(load({ auth: AUTH }, { HTTPS_PROXY: 'socks5h://u:s3cret@proxy' }))
    expect(wrong).toMatch(/^usage: HTTPS_PROXY: expected the address of a proxy for HTTP/)
    expect(wrong).not.toContain('s3cret')
  })

  it('is made of variables alone', async () => {
    const variables = Object.entries(AUTH).map(([key, value]) => [`OS_${key.toUpperCase()}`, value])
    const cloud = await loadCloud(undefined, { ...home({}), ...Object.fromEntries(variables) })
    expect(cloud).toMatchObject({ name: 'envvars', login: { kind: 'password' } })
  })

  it('is named by OS_CLOUD in a file that OS_CLIENT_CONFIG_FILE names', async () => {
    const files = home({ 'elsewhere.yaml': { clouds: { d: { auth: AUTH } } } })
    const path = join(files['HOME'] ?? '', '.config/openstack/elsewhere.yaml')
    const cloud = await loadCloud(undefined, { OS_CLOUD: 'd', OS_CLIENT_CONFIG_FILE: path })
    expect(cloud).toMatchObject({ name: 'd', origin: path })
  })

  it('may have anchors and merge keys', async () => {
    const text = `
base: &base {auth_url: 'http://k', username: u, password: p}
clouds:
  c:
    auth: {<<: *base, username: mine}
    verify: no
`
    const cloud = await loadCloud('c', home({ 'clouds.yaml': text }))
    expect(cloud).toMatchObject({
      authUrl: 'http://k',
      login: { user: { name: 'mine' } },
      tls: { insecure: true },
    })
  })

  it('has settings for single services', async () => {
    const cloud = await load({
      auth: AUTH,
      image_endpoint_override: 'http://g',
      key_manager_interface: 'admin',
    })
    expect(cloud.services).toMatchObject({
      image: { endpoint: 'http://g' },
      'key-manager': { interface: 'admin' },
    })
  })
})

describe('what is wrong is said with its place', () => {
  it.each<[string, object, RegExp]>([
    [
      'no auth_url',
      { auth: { username: 'u' } },
      /^usage: the cloud c: auth_url is missing in .*clouds.yaml/,
    ],
    ['no password', { auth: { ...AUTH, password: '' } }, /password is missing in .*clouds.yaml$/],
    [
      'a number',
      { auth: { ...AUTH, password: 12_345 } },
      /^usage: .*clouds.yaml:1:\d+: password: expected a text, got a number$/,
    ],
    ['another way in', { auth_type: 'v3totp', auth: AUTH }, /auth_type: expected one of password/],
    [
      'an interface',
      { interface: 'inner', auth: AUTH },
      /interface: expected public, internal or admin/,
    ],
    ['verify', { verify: 'maybe', auth: AUTH }, /verify: expected true or false/],
    ['a CA file', { cacert: '/nowhere/ca.pem', auth: AUTH }, /^not-found: .*cacert: cannot read/],
    [
      'auth as a text',
      { auth: 'password' },
      /clouds.yaml:1:\d+: c.auth: expected keys with values/,
    ],
  ])('%s', async (_, cloud, expected) => {
    const said = await outcome(load(cloud))
    expect(said).toMatch(expected)
    expect(said).not.toContain('12345')
  })

  it('a cloud that is not there', async () => {
    expect(await outcome(load({ auth: AUTH }, {}, 'x'))).toMatch(/^not-found: .* has c$/)
    expect(await outcome(loadCloud('x', home({})))).toMatch(/there is no clouds.yaml, /)
  })

  it.each([
    ['no YAML', 'clouds: [', /clouds.yaml:1:\d+: no YAML/],
    ['a key twice', 'clouds: {a: 1, a: 2}', /"a" is there twice/],
    ['an alias of itself', 'clouds: &c {a: *c}', /too much of it/],
    ['an alias of nothing', 'clouds: {a: *c}', /clouds.yaml:1:/],
    ['a bomb', bomb(), /too much of it/],
  ])('%s', async (_, text, expected) => {
    expect(await outcome(loadCloud('c', home({ 'clouds.yaml': text })))).toMatch(expected)
  })
})

function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x]']
  for (let level = 1; level < 9; level += 1) {
    const aliases = Array.from({ length: 8 }, () => `*a${level - 1}`).join(', ')
    lines.push(`a${level}: &a${level} [${aliases}]`)
  }
  return `${lines.join('\n')}\nclouds: *a8\n`
}

/** What openstacksdk makes of the same files. */
const ASK_SDK = `
import json, sys, openstack.config
c = openstack.config.OpenStackConfig().get_one(cloud='c')
auth = c.config['auth']
print(json.dumps({
    'authUrl': auth.get('auth_url'), 'user': auth.get('username'), 'password': auth.get('password'),
    'project': auth.get('project_name'), 'region': c.config.get('region_name') or None,
    'interface': c.get_interface(), 'insecure': c.config.get('verify') is False,
    'image': c.get_endpoint('image'), 'imageInterface': c.get_interface('image'),
}))
`

function asSdk({
  authUrl,
  login,
  scope,
  region,
  interface: general,
  tls,
  services,
}: Cloud): object {
  return {
    authUrl,
    user: login.kind === 'password' && 'name' in login.user ? login.user.name : null,
    password: login.kind === 'password' ? login.password.bytes().toString() : null,
    project: scope.kind === 'project' && 'name' in scope.project ? scope.project.name : null,
    region: region ?? null,
    interface: general,
    insecure: tls.insecure,
    image: services['image']?.endpoint ?? null,
    imageInterface: services['image']?.interface ?? general,
  }
}

describe('agrees with openstacksdk about', () => {
  it.each<[string, Record<string, unknown>]>([
    ['a plain cloud', { 'clouds.yaml': { clouds: { c: { auth: AUTH } } } }],
    [
      'secure.yaml over clouds.yaml',
      {
        'clouds.yaml': { clouds: { c: { auth: AUTH, region_name: 'one' } } },
        'secure.yaml': { clouds: { c: { auth: { password: 'other' }, region_name: 'two' } } },
      },
    ],
    [
      'a profile under it',
      {
        'clouds.yaml': {
          clouds: {
            c: { profile: 'p', region_name: 'mine', auth: { username: 'u', password: 'p' } },
          },
        },
        'clouds-public.yaml': {
          'public-clouds': {
            p: { region_name: 'theirs', interface: 'internal', auth: { auth_url: 'https://p' } },
          },
        },
      },
    ],
    [
      'endpoints, interfaces and tenants',
      {
        'clouds.yaml': `
clouds:
  c:
    auth: {auth_url: 'http://k', username: u, password: p, tenant_name: t}
    image_endpoint_override: http://g:9292
    image_interface: admin
    interface: internal
    verify: off
`,
      },
    ],
    ['the suffix yml', { 'clouds.yml': { clouds: { c: { auth: AUTH, regions: ['a', 'b'] } } } }],
    ['JSON', { 'clouds.json': { clouds: { c: { auth: AUTH } } } }],
  ])('%s', async (_, files) => {
    const env = home(files)
    const said: unknown = JSON.parse(await outputOf('/usr/bin/python3', ['-c', ASK_SDK], { env }))
    expect(asSdk(await loadCloud('c', env))).toEqual(said)
  })
})
