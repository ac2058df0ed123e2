import { dirname, join } from 'node:path'
import { databaseAnswers, mariadbCommand } from './databases.js'
import { answers } from './launch.js'
import { databaseSocket, python, WRAPPERS } from './places.js'
import type { ServiceName, Testbed } from './testbed.js'

/** How each service is run. */
export interface Service {
  /** How many sockets it inherits. */
  readonly sockets: number
  /** Its address, from its first port. */
  readonly url?: (port: number) => string
  readonly environment?: (directory: string) => NodeJS.ProcessEnv
  readonly command: (directory: string) => string[]
  /**
   * What must be ready before it starts. Most need nothing: a request to a service that is not ready
   * waits in its socket.
   */
  readonly after: readonly ServiceName[]
  readonly isReady: (directory: string, urls: Testbed['urls']) => Promise<boolean>
}

const loopback = (port: number): string => `http://127.0.0.1:${port}`

export const SERVICE_TABLE: Readonly<Record<ServiceName, Service>> = {
  mariadb: {
    sockets: 0,
    command: mariadbCommand,
    after: [],
    isReady: async (directory) => await databaseAnswers(directory),
  },
  keystone: {
    sockets: 1,
    url: (port) => `${loopback(port)}/v3`,
    environment: (directory) => ({ OS_KEYSTONE_CONFIG_DIR: join(directory, 'keystone') }),
    command: () => uwsgi('keystone_app.py'),
    after: [],
    isReady: async (_, { keystone = '' }) => await answers(keystone),
  },
  barbican: {
    sockets: 1,
    url: loopback,
    environment: (directory) => ({ HOME: join(directory, 'barbican') }),
    command: () => uwsgi('barbican_app.py'),
    after: [],
    isReady: async (_, { barbican = '' }) => await answers(barbican),
  },
  glance: {
    sockets: 1,
    url: loopback,
    command: (directory) => [
      ...python('glance_api.py'),
      '--config-file',
      join(directory, 'glance/glance-api.conf'),
    ],
    after: [],
    isReady: async (_, { glance = '' }) => await answers(glance),
  },
  cinder: {
    sockets: 1,
    url: (port) => `${loopback(port)}/v3`,
    environment: () => ({ PATH: `${WRAPPERS}:/usr/sbin:/usr/bin:/sbin:/bin` }),
    command: (directory) => [
      ...python('cinder_services.py'),
      '--config-file',
      join(directory, 'cinder/cinder.conf'),
    ],
    after: ['mariadb'],
    isReady: async (_, { cinder = '' }) => await answers(new URL('/', cinder).href),
  },
  swift: {
    sockets: 4,
    url: (port) => `${loopback(port)}/v1`,
    command: (directory) => python('swift_servers.py', join(directory, 'swift')),
    // The root secret is ordered first.
    after: ['keystone', 'barbican'],
    isReady: async (_, { swift = '' }) => await answers(new URL('/healthcheck', swift).href),
  },
}

/** One process and one thread: sqlite has one writer, and the token cache is the process's own. */
function uwsgi(app: string): string[] {
  const [, file = ''] = python(app)
  return [
    'uwsgi',
    '--plugin=python3',
    '--processes=1',
    '--need-app',
    '--die-on-term',
    '--enable-threads',
    '--buffer-size=65535',
    `--pythonpath=${dirname(file)}`,
    // It keeps no connection open, and clients should know.
    '--add-header=Connection: close',
    '--http-socket=fd://3',
    `--wsgi-file=${file}`,
  ]
}

/** What a service's user must know to reach cinder's tables. */
export function describeDatabase(directory: string): Testbed['database'] {
  return { socket: databaseSocket(directory), user: 'root', name: 'cinder' }
}
