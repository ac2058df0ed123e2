import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { PublishResult } from '../../src/index.js'
import { alteredClouds } from '../harness/altered-clouds.js'
import { volseal, volsealJson } from '../harness/cloud-command.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { scratchDirectory } from '../harness/run.js'
import { sharedTestbed, type Testbed } from '../harness/testbed.js'

/** Quotas of a project of its own; its one user is the administrator of Barbican's quotas as well. */

const testbed = sharedTestbed()
const directory = scratchDirectory()
const USER = `quota-${randomUUID()}`
const NONE = -1

let own: Testbed
let projectId: string
let barbican: Api
let glance: Api
let key: OpensslKey

beforeAll(async () => {
  own = await withProject()
  barbican = await openApi(own, USER, 'barbican')
  glance = await openApi(own, USER, 'glance')
  key = makeOpensslKey(directory, 'RSA-PSS', 'quota')
})

afterEach(async () => {
  expect((await barbican('DELETE', `/v1/project-quotas/${projectId}`)).status).toBeLessThan(500)
  for (const id of await secrets()) await barbican('DELETE', `/v1/secrets/${id}`)
})

/** The test bed with one project and user more, which are called alike. */
async function withProject(): Promise<Testbed> {
  const keystone = await openApi(testbed(), 'admin', 'keystone')
  const make = async (kind: string, facts: object): Promise<string> => {
    const json = { [kind]: { name: USER, domain_id: 'default', ...facts } }
    const made = await jsonOf<Record<string, { id: string }>>(
      keystone('POST', `/${kind}s`, { json }),
    )
    return made[kind]?.id ?? ''
  }
  const password = randomUUID()
  projectId = await make('project', {})
  const id = await make('user', { password })
  const names = ['member', 'creator', 'key-manager:service-admin']
  const { roles } = await jsonOf<{ roles: { id: string; name: string }[] }>(
    keystone('GET', '/roles'),
  )
  for (const role of roles.filter(({ name }) => names.includes(name))) {
    await keystone('PUT', `/projects/${projectId}/users/${id}/roles/${role.id}`)
  }
  const user = { id, password, project: USER, projectId, roles: names }
  const auth = {
    auth_url: testbed().urls.keystone,
    username: USER,
    password,
    project_name: USER,
    user_domain_name: 'Default',
    project_domain_name: 'Default',
  }
  const clouds = alteredClouds(testbed(), USER, { directory, auth, region_name: testbed().region })
  return { ...testbed(), clouds, users: { ...testbed().users, [USER]: user } }
}

async function setQuota(quota: Readonly<Record<string, number>>): Promise<void> {
  const unlimited = { secrets: NONE, orders: NONE, containers: NONE, consumers: NONE, cas: NONE }
  const json = { project_quotas: { ...unlimited, ...quota } }
  const { status, text } = await barbican('PUT', `/v1/project-quotas/${projectId}`, { json })
  expect({ status, text }).toEqual({ status: 204, text: '' })
}

async function secrets(): Promise<string[]> {
  const listed = barbican('GET', '/v1/secrets?limit=100')
  const { secrets: found } = await jsonOf<{ secrets: { secret_ref: string }[] }>(listed)
  return found.map(({ secret_ref: ref }) => ref.split('/').at(-1) ?? '')
}

const ofQuota = {
  code: 'forbidden',
  message: expect.stringMatching(/quota/i),
  hint: expect.stringContaining('have the quota of the project raised'),
}

const put = (): readonly string[] => ['secret', 'put', key.certificate, '--type', 'certificate']

describe('the quota of secrets', () => {
  it('refuses one too many, and the error says what to do', async () => {
    await setQuota({ secrets: 1 })
    expect(await volsealJson(own, USER, put())).toMatchObject({ ok: true })
    expect((await volseal(own, USER, put())).code).toBe(30)
    expect(await volsealJson(own, USER, put())).toMatchObject({ ok: false, error: ofQuota })
    expect(await secrets()).toHaveLength(1)
    await setQuota({ secrets: 2 })
    expect(await volsealJson(own, USER, put())).toMatchObject({ ok: true })
  })

  it('lets nothing be published whose certificate finds no room', async () => {
    await setQuota({ secrets: 0 })
    const image = newImage()
    const { code, stdout } = await volseal(own, USER, [...publishing(image), '--json'])
    expect(code).toBe(30)
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: ofQuota })
    expect(await imagesOf(image)).toEqual([])
    expect(existsSync(`${image}.signature`)).toBe(false)
  })

  // Barbican looks at it where a secret is stored, and not where one is drawn for an order.
  it('is none of the keys that Barbican draws', async () => {
    await setQuota({ secrets: 0 })
    const command = ['secret', 'create', '--bits', '256']
    expect(await volsealJson(own, USER, command)).toMatchObject({ ok: true })
  })
})

it('the quota of orders is another one, and named', async () => {
  await setQuota({ orders: 0 })
  const command = ['secret', 'create', '--bits', '256']
  expect((await volseal(own, USER, command)).code).toBe(30)
  expect(await volsealJson(own, USER, command)).toMatchObject({ ok: false, error: ofQuota })
  expect(await secrets()).toEqual([])
  expect(await volsealJson(own, USER, put())).toMatchObject({ ok: true })
})

it('without room for a note of who needs the certificate, the image is published all the same', async () => {
  await setQuota({ consumers: 0 })
  const result = await volsealJson<PublishResult>(own, USER, publishing(newImage()))
  expect(result).toMatchObject({ ok: true, verification: { verdict: 'accepted' } })
  expect((await glance('DELETE', `/v2/images/${result.imageId}`)).status).toBe(204)
})

function newImage(): string {
  const path = join(directory, `${randomUUID()}.raw`)
  writeFileSync(path, randomBytes(1024 * 1024))
  return path
}

function publishing(image: string): readonly string[] {
  return ['sign', image, '--key', key.key, '--cert', key.certificate, '--publish']
}

async function imagesOf(image: string): Promise<unknown[]> {
  const listed = glance('GET', `/v2/images?name=${basename(image)}`)
  return (await jsonOf<{ images: unknown[] }>(listed)).images
}
