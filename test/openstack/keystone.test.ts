import { describe, expect, it } from 'vitest'
import { fetchToken } from '../../scripts/openstack-testbed/rest.js'
import { openstack, tryOpenstack, userOf } from '../harness/openstack.js'
import { jsonOf, openApi } from '../harness/openstack-api.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()

/** Who a test can be, and what that user may do. */
const ROLES: Readonly<Record<string, readonly string[]>> = {
  admin: ['admin', 'member', 'reader'],
  alice: ['creator', 'member', 'reader'],
  carol: ['creator', 'member', 'reader'],
  bob: ['member', 'reader'],
  erin: ['audit'],
  oscar: ['observer'],
  dave: ['creator', 'member', 'reader'],
  cinder: ['service'],
  nova: ['creator', 'service'],
}

interface TokenAnswer {
  readonly token: {
    readonly roles: readonly { readonly name: string }[]
    readonly project: { readonly id: string }
  }
}

describe('keystone', () => {
  it.each(Object.entries(ROLES))('gives %s a token with its roles', async (name, roles) => {
    const { keystone = '' } = testbed().urls
    const { password, project, projectId } = userOf(testbed(), name)
    const token = await fetchToken(keystone, { user: name, password, project })
    const ask = await openApi(testbed(), name, 'keystone')
    const headers = { 'X-Subject-Token': token }
    const said = await jsonOf<TokenAnswer>(ask('GET', '/auth/tokens', { headers }))
    expect(said.token.roles.map((role) => role.name).toSorted()).toEqual(roles)
    expect(said.token.project.id).toBe(projectId)
  })

  it('refuses a wrong password', async () => {
    const { keystone = '' } = testbed().urls
    const account = { user: 'alice', password: 'guessed', project: 'demo' }
    await expect(fetchToken(keystone, account)).rejects.toThrow(/401/)
  })

  it('has a catalogue in which the openstack client finds every service', async () => {
    const catalogue = await openstack<{ Type: string }[]>(testbed(), 'alice', ['catalog', 'list'])
    expect(catalogue.map(({ Type }) => Type).toSorted()).toEqual([
      'block-storage',
      'identity',
      'image',
      'key-manager',
      'object-store',
      'volumev3',
    ])
    const { code, stdout } = await tryOpenstack(testbed(), 'alice', ['project', 'list'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('demo') })
  })
})
