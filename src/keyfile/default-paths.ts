import { isAbsolute, join } from 'node:path'
import { VolsealError } from '../core/errors.js'

/** The part of the environment that says where a user's files lie. */
export interface PathEnvironment {
  readonly XDG_DATA_HOME?: string | undefined
  readonly XDG_CONFIG_HOME?: string | undefined
  readonly HOME?: string | undefined
}

/** Where a store and its key lie. */
export interface StorePaths {
  /** Directory of the key store. */
  readonly store: string
  /** File with its key. */
  readonly keyFile: string
}

/**
 * Where the key store and its key lie when nobody says, by the XDG Base Directory Specification
 * 0.8: relative paths in the variables are ignored, and so are empty ones.
 *
 * @throws {VolsealError} `usage` when no variable helps
 */
export function defaultStorePaths(env: PathEnvironment): StorePaths {
  const data = base(env.XDG_DATA_HOME, env.HOME, '.local/share')
  const config = base(env.XDG_CONFIG_HOME, env.HOME, '.config')
  return {
    store: join(data, 'volseal', 'keys'),
    keyFile: join(config, 'volseal', 'key-store.key'),
  }
}

function base(named: string | undefined, home: string | undefined, below: string): string {
  if (named !== undefined && isAbsolute(named)) return named
  if (home !== undefined && isAbsolute(home)) return join(home, below)
  throw new VolsealError('usage', 'place of the key store: expected HOME to be set, got none', {
    hint: 'name the store with --key-store and its key with --key-store-key',
  })
}
