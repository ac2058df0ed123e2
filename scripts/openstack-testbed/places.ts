import { join } from 'node:path'
import { REPOSITORY } from '../harness/program.js'

/** Where things are: in the repository, and in a test bed's directory. */

/** Debian's; another python3 in PATH does not see Debian's packages. */
export const PYTHON = '/usr/bin/python3'

const SOURCES = `${REPOSITORY}scripts/openstack-testbed`

export const TEMPLATES: string = `${SOURCES}/templates`

/** What stands before the system's programs in cinder's PATH. */
export const WRAPPERS: string = `${SOURCES}/bin`

/** Databases with their schema, made once for each set of package versions. */
export const DATABASE_CACHE: string = `${REPOSITORY}.cache/testbed`

/** The command line that runs one of the Python files here. */
export function python(file: string, ...args: readonly string[]): string[] {
  return [PYTHON, `${SOURCES}/services/${file}`, ...args]
}

/** The command line of a command of which Debian's library package brings only the module. */
export function moduleCommand(name: string, module: string, ...args: readonly string[]): string[] {
  return python('run_command.py', name, module, ...args)
}

/** The one file that says how to reach a test bed; there only while it is up. */
export function testbedFile(directory: string): string {
  return join(directory, 'testbed.json')
}

export function cloudsFile(directory: string): string {
  return join(directory, 'clouds.yaml')
}

export function logFile(directory: string, service: string): string {
  return join(directory, 'logs', `${service}.log`)
}

/** A UNIX socket: its path must be short. */
export function databaseSocket(directory: string): string {
  return join(directory, 'mariadb', 'socket')
}

/** Where databases are made; the directory looks like a test bed's. */
export function scratchPlace(directory: string): string {
  return join(directory, 'making')
}
