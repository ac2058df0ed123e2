import { describe, expect, it } from 'vitest'
import { defaultStorePaths, type PathEnvironment } from '../../src/keyfile/index.js'

describe('defaultStorePaths', () => {
  const cases: [string, PathEnvironment, string, string][] = [
    ['HOME alone', { HOME: '/home/u' }, '/home/u/.local/share', '/home/u/.config'],
    ['both XDG variables', { XDG_DATA_HOME: '/d', XDG_CONFIG_HOME: '/c' }, '/d', '/c'],
    ['one of them', { XDG_DATA_HOME: '/d', HOME: '/home/u' }, '/d', '/home/u/.config'],
    [
      'relative ones, which are ignored',
      { XDG_DATA_HOME: 'd', XDG_CONFIG_HOME: './c', HOME: '/home/u' },
      '/home/u/.local/share',
      '/home/u/.config',
    ],
    [
      'empty ones, which are ignored',
      { XDG_DATA_HOME: '', XDG_CONFIG_HOME: '', HOME: '/home/u' },
      '/home/u/.local/share',
      '/home/u/.config',
    ],
  ]
  it.each(cases)('goes by %s', (_, env, data, config) => {
    expect(defaultStorePaths(env)).toEqual({
      store: `${data}/volseal/keys`,
      keyFile: `${config}/volseal/key-store.key`,
    })
  })

  it.each([{}, { HOME: '' }, { HOME: 'u' }, { XDG_DATA_HOME: '/d' }, { XDG_CONFIG_HOME: '/c' }])(
    'refuses %o',
    (env) => {
      expect(() => defaultStorePaths(env)).toThrow(expect.objectContaining({ code: 'usage' }))
    },
  )
})
