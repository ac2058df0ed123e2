import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { authenticationBody } from '../../src/openstack/identity/authentication-body.js'
import { loadCloud } from '../../src/openstack/index.js'
import { outputOf } from '../harness/program.js'
import { scratchDirectory } from '../harness/run.js'

const scratch = scratchDirectory()
const AUTH = {
  auth_url: 'http://k:5000',
  username: 'u',
  password: 'p',
  project_name: 'q',
  user_domain_id: 'ud',
  project_domain_id: 'pd',
}
const { user_domain_id: _, project_domain_id: __, ...NO_DOMAINS } = AUTH

type Env = Readonly<Record<string, string>>
type Content = Readonly<Record<string, unknown>>

interface Files {
  readonly cloud: Content
  readonly secure?: Content
  readonly profile?: Content
}

function home({ cloud, secure, profile }: Files): Env {
  const directory = mkdtempSync(join(scratch, 'home-'))
  const config = join(directory, '.config/openstack')
  mkdirSync(config, { recursive: true })
  const write = (name: string, content: object): void =>
    writeFileSync(join(config, name), JSON.stringify(content))
  write('clouds.yaml', { clouds: { c: cloud } })
  if (secure !== undefined) write('secure.yaml', { clouds: { c: secure } })
  if (profile !== undefined) write('clouds-public.yaml', { 'public-clouds': { p: profile } })
  return { HOME: directory }
}

interface Asked {
  readonly url: string
  readonly body: object
  readonly region: string | null
}

async function theirs(env: Env): Promise<{ sdk: Asked; command: Asked }> {
  const said = await outputOf('/usr/bin/python3', ['test/harness/ask_login.py'], { env })
  const answer: { sdk: Asked; command: Asked } = JSON.parse(said)
  return answer
}

async function ours(env: Env): Promise<Asked> {
  const cloud = await loadCloud('c', env)
  const url = `${cloud.authUrl}/v3/auth/tokens`
  return { url, body: authenticationBody(cloud), region: cloud.region ?? null }
}

async function refusal(env: Env): Promise<string> {
  return await ours(env).then(
    () => 'none',
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
  )
}

const REGIONS = [
  { name: 'one', values: { auth: { auth_url: 'http://one:5000' } } },
  { name: 'two', values: { auth: { auth_url: 'http://two:5000', username: 'u2' }, password: 'x' } },
  'three',
]
const { password: ___, ...NO_PASSWORD } = AUTH

describe('as openstacksdk and the openstack command, it asks keystone', () => {
  it.each<[string, Files, Env?]>([
    ['in the first of the regions', { cloud: { auth: AUTH, regions: REGIONS } }],
    [
      'in the region of OS_REGION_NAME, with its values',
      { cloud: { auth: NO_PASSWORD, regions: REGIONS } },
      { OS_REGION_NAME: 'two' },
    ],
    [
      'in a region that is only a name',
      { cloud: { auth: AUTH, regions: REGIONS } },
      { OS_REGION_NAME: 'three' },
    ],
    ['in the first of plain names', { cloud: { auth: AUTH, regions: ['a', 'b'] } }],
    ['in the first of a list of old', { cloud: { auth: AUTH, region_name: 'a,b' } }],
    [
      'in the regions of its profile',
      { cloud: { profile: 'p', auth: AUTH }, profile: { regions: REGIONS } },
      { OS_REGION_NAME: 'one' },
    ],
    [
      'in its own region, without what the profile says of it',
      { cloud: { profile: 'p', auth: AUTH, region_name: 'two' }, profile: { regions: REGIONS } },
    ],
    [
      'with null in a region as if it were not there',
      {
        cloud: {
          auth: NO_PASSWORD,
          password: 'p',
          regions: [{ name: 'r', values: { auth: { username: 'v' }, password: null } }],
        },
      },
    ],
    [
      'at the address of the region',
      {
        cloud: { profile: 'p', auth: { ...AUTH, auth_url: undefined }, region_name: 'r' },
        profile: { auth: { auth_url: 'http://{region_name}.example' } },
      },
    ],
    ['as the user beside auth', { cloud: { auth: { ...AUTH, username: '' }, username: 'beside' } }],
    [
      'with the project and domains of auth, not those beside it',
      {
        cloud: { auth: AUTH, project_name: 'other', user_domain_id: 'o', project_domain_id: 'o' },
      },
    ],
    [
      'with domains that stand beside auth',
      { cloud: { auth: NO_DOMAINS, user_domain_name: 'a', project_domain_name: 'b' } },
    ],
    ['with one domain for both', { cloud: { auth: { ...NO_DOMAINS, domain_id: 'd' } } }],
    ['with one domain beside for both', { cloud: { auth: NO_DOMAINS, domain_name: 'd' } }],
    [
      'with the id of both before a name of one',
      { cloud: { auth: { ...NO_DOMAINS, domain_id: 'd', user_domain_name: 'n' } } },
    ],
    [
      'with the id of one before the name of both',
      { cloud: { auth: { ...NO_DOMAINS, domain_name: 'd', user_domain_id: 'n' } } },
    ],
    [
      'with a default id before names',
      {
        cloud: {
          auth: {
            ...NO_DOMAINS,
            default_domain_id: 'd',
            user_domain_name: 'n',
            default_domain_name: 'e',
          },
        },
      },
    ],
    [
      'for a domain, where there is no project',
      { cloud: { auth: { ...AUTH, project_name: undefined, domain_id: 'd' } } },
    ],
    [
      'as the user with a password beside an application credential',
      {
        cloud: {
          auth: AUTH,
          application_credential_id: 'i',
          application_credential_secret: 's',
        },
      },
    ],
    [
      'as the user whose id is there, too',
      { cloud: { auth: { ...AUTH, user_id: 'i', project_id: 'j' } } },
    ],
  ])('%s', { timeout: 30_000 }, async (_what, files, more = {}) => {
    const env = { ...home(files), ...more }
    const { sdk, command } = await theirs(env)
    expect(await ours(env)).toEqual(sdk)
    expect(command).toEqual(sdk)
  })
})

describe('what clients take for different users is refused', () => {
  it.each<[string, Files, RegExp]>([
    [
      'a user in auth, and another beside',
      { cloud: { auth: AUTH, username: 'other' } },
      /^usage: .*clouds.yaml:1:\d+: username: stands in auth, and beside it with another value/,
    ],
    [
      'a password in auth, and another beside in secure.yaml',
      { cloud: { auth: AUTH }, secure: { password: 's3cret' } },
      /password: stands in auth, and beside it with another value \(.*secure.yaml:1:\d+\)/,
    ],
    [
      'an address beside auth, and another in the profile',
      {
        cloud: { profile: 'p', auth: NO_PASSWORD, password: 'p' },
        profile: { auth_url: 'http://b' },
      },
      /auth_url: stands in auth/,
    ],
  ])('%s', { timeout: 30_000 }, async (_what, files, expected) => {
    const env = home(files)
    const { sdk, command } = await theirs(env)
    expect(command).not.toEqual(sdk)
    const said = await refusal(env)
    expect(said).toMatch(expected)
    expect(said).not.toContain('s3cret')
  })

  it('but not twice the same', async () => {
    const env = home({ cloud: { auth: AUTH, username: 'u' } })
    expect(await refusal(env)).toBe('none')
  })

  it('a region_name that the SDK does not heed', { timeout: 30_000 }, async () => {
    const files = { cloud: { auth: NO_PASSWORD, region_name: 'two', regions: REGIONS } }
    const env = home(files)
    expect((await theirs(env)).sdk).toMatchObject({ region: 'one' })
    expect(await refusal(env)).toMatch(
      /^usage: .*: region_name: expected one, the first of regions/,
    )
    const chosen = { ...env, OS_REGION_NAME: 'two' }
    expect(await ours(chosen)).toMatchObject({
      region: 'two',
      url: 'http://two:5000/v3/auth/tokens',
    })
  })
})

describe('refused with its place is', () => {
  it.each<[string, Content, RegExp, Env?]>([
    [
      'a region that is not there',
      { regions: REGIONS },
      /^usage: OS_REGION_NAME: expected one of one, two, three, got four$/,
      { OS_REGION_NAME: 'four' },
    ],
    ['a region without name', { regions: [{ values: {} }] }, /regions: expected names, or {name, /],
    [
      'more in a region',
      { regions: [{ name: 'a', auth: {} }] },
      /regions: expected names, or {name/,
    ],
    ['regions as text', { regions: 'a' }, /clouds.yaml:1:\d+: regions: expected a list, got/],
    ['values as a list', { regions: [{ name: 'a', values: [] }] }, /: a.values: expected keys/],
    ['a trust', { trust_id: 't' }, /trust_id is not known here/],
  ])('%s', async (_what, more, expected, env = {}) => {
    expect(await refusal({ ...home({ cloud: { auth: AUTH, ...more } }), ...env })).toMatch(expected)
  })
})

describe('a variable that chooses among regions', () => {
  it('does not change the only one that a file names', async () => {
    const env = { ...home({ cloud: { auth: AUTH, regions: ['a'] } }), OS_REGION_NAME: 'b' }
    expect((await ours(env)).region).toBe('a')
  })
})
