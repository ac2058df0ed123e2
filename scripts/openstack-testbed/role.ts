import { TestbedFailure } from './failure.js'
import { fetchToken, request } from './rest.js'
import { needTestbed, writeTestbed } from './testbed.js'

const METHODS = { add: 'PUT', remove: 'DELETE' } as const
export type RoleAction = keyof typeof METHODS

/** Gives a user a role in its project, or takes it away. */
export async function changeRole(
  directory: string,
  action: RoleAction,
  name: string,
  role: string,
): Promise<void> {
  const testbed = needTestbed(directory)
  const { users, urls } = testbed
  const { keystone = '' } = urls
  const user = users[name]
  if (user === undefined) {
    throw new TestbedFailure(`expected a user (${Object.keys(users).join(', ')}), got ${name}`)
  }
  const token = await fetchToken(keystone, {
    user: 'admin',
    password: users['admin']?.password ?? '',
    project: 'admin',
  })
  const roleId = await findRole(keystone, token, role)
  const grant = `${keystone}/projects/${user.projectId}/users/${user.id}/roles/${roleId}`
  await request(METHODS[action], grant, { token })
  const others = user.roles.filter((each) => each !== role)
  const roles = action === 'add' ? [...others, role] : others
  writeTestbed({ ...testbed, users: { ...users, [name]: { ...user, roles } } })
}

async function findRole(keystoneUrl: string, token: string, name: string): Promise<string> {
  const response = await request('GET', `${keystoneUrl}/roles`, { token })
  const { roles }: { roles: { id: string; name: string }[] } = JSON.parse(await response.text())
  const found = roles.find((role) => role.name === name)
  if (found !== undefined) return found.id
  const names = roles.map((role) => role.name).join(', ')
  throw new TestbedFailure(`expected a role (${names}), got ${name}`)
}
