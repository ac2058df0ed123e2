import { afterAll } from 'vitest'
import { type OpenCloud, openCloud } from '../../src/index.js'
import { loadCloud, Session, type SessionOptions } from '../../src/openstack/index.js'
import type { Testbed } from './testbed.js'

/** Our own sessions with a test bed. */

type Cloud = Session['cloud']

/** A user's cloud of a test bed, with parts of it replaced. */
export async function cloudOf(
  testbed: Testbed,
  user: string,
  changes: Partial<Cloud> = {},
): Promise<Cloud> {
  const cloud = await loadCloud(user, { OS_CLIENT_CONFIG_FILE: testbed.clouds })
  return { ...cloud, ...changes }
}

/** A session that ends with the tests of its file. */
export async function openSession(
  testbed: Testbed,
  user: string,
  changes: Partial<Cloud> = {},
  options: SessionOptions = {},
): Promise<Session> {
  const session = new Session(await cloudOf(testbed, user, changes), options)
  sessions.push(session)
  return session
}

/** All of a user's cloud, which ends with the tests of its file. */
export async function openCloudOf(
  { clouds }: Pick<Testbed, 'clouds'>,
  user: string,
): Promise<OpenCloud> {
  const cloud = await openCloud({ cloud: user, env: { OS_CLIENT_CONFIG_FILE: clouds } })
  sessions.push(cloud)
  return cloud
}

const sessions: { close(): Promise<void> }[] = []

afterAll(async () => {
  await Promise.all(sessions.map(async (session) => await session.close()))
})
