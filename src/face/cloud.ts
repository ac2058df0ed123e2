import { VolsealError } from '../core/errors.js'
import { barbicanKeyManager } from '../keyfile/index.js'
import {
  Barbican,
  Cinder,
  type Environment,
  Glance,
  loadCloud,
  Session,
  type SessionOptions,
  Swift,
} from '../openstack/index.js'
import type { OpenKeyManager } from './key-store.js'

/** A cloud as the caller names it. */
export interface CloudOptions extends Pick<SessionOptions, 'warn' | 'signal'> {
  /** A name of clouds.yaml; OS_CLOUD or the variables OS_* when not given. */
  readonly cloud?: string | undefined
  readonly env: Environment
}

/** The services of a cloud, as one user; the caller closes it, which ends its connections. */
export interface OpenCloud {
  readonly session: Session
  readonly barbican: Barbican
  readonly glance: Glance
  readonly cinder: Cinder
  readonly swift: Swift
  readonly keyManager: OpenKeyManager
  close(): Promise<void>
}

/**
 * Opens a cloud. Nothing is asked of it yet: keystone is, when the first service is.
 *
 * @throws {VolsealError} `usage`, `not-found` for a configuration that is not complete
 */
export async function openCloud({ cloud, env, warn, signal }: CloudOptions): Promise<OpenCloud> {
  const session = new Session(await loadCloud(cloud, env), { warn, signal })
  const barbican = new Barbican(session)
  const close = async (): Promise<void> => await session.close()
  const keyManager = Object.assign(barbicanKeyManager(barbican), { close })
  const others = {
    glance: new Glance(session),
    cinder: new Cinder(session),
    swift: new Swift(session),
  }
  return { session, barbican, ...others, keyManager, close }
}

/** The project whose the user's images are. @throws {VolsealError} `usage` for a token without one */
export async function projectIdOf(
  { session }: Pick<OpenCloud, 'session'>,
  signal?: AbortSignal,
): Promise<string> {
  const { project } = (await session.token(signal)).identity
  if (project !== null) return project.id
  throw new VolsealError('usage', 'whose images? the token is for no project', {
    hint: 'name the project: project_name in clouds.yaml, or OS_PROJECT_NAME',
  })
}
