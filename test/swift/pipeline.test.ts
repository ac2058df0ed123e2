import { describe, expect, it } from 'vitest'
import { readKeymasterConf } from '../../src/swift/keymaster-conf.js'
import { checkPipeline } from '../../src/swift/pipeline.js'
import { checkRootSecret } from '../../src/swift/root-secret.js'
import { parseConfig } from '../../src/swift/service-config.js'

const GOOD =
  'catch_errors proxy-logging authtoken keystoneauth copy slo dlo kms encryption proxy-logging proxy-server'
const CONF = '/etc/swift/keymaster.conf'

interface Proxy {
  readonly pipeline?: string
  readonly encryption?: string
  readonly keymaster?: string
}

/** Swift's own filters under other names, as they may have. */
function proxyConf({
  pipeline = GOOD,
  encryption = '',
  keymaster = `keymaster_config_path = ${CONF}`,
}: Proxy): string {
  const eggs = ['catch_errors', 'copy', 'slo', 'dlo', 'keystoneauth', 'tempauth', 'bulk']
  return `# a proxy
[DEFAULT]
log_level = INFO

[pipeline:main]
pipeline = ${pipeline}

[app:proxy-server]
use = egg:swift#proxy

${eggs.map((name) => `[filter:${name}]\nuse = egg:swift#${name}\n`).join('\n')}
[filter:proxy-logging]
use = egg:swift#proxy_logging

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory

[filter:kms]
use = egg:swift#kms_keymaster
${keymaster}

[filter:file_keymaster]
use = egg:swift#keymaster

[filter:encryption]
use = egg:swift#encryption
${encryption}
`
}

function failures(proxy: Proxy): string[] {
  const checks = checkPipeline(parseConfig(proxyConf(proxy), 'proxy-server.conf'), CONF)
  return checks.flatMap(({ name, result, found }) => (result === 'fail' ? `${name}: ${found}` : []))
}

describe('a pipeline', () => {
  it('is as Swift documents it', () => {
    expect(failures({})).toEqual([])
    expect(failures({ pipeline: 'catch_errors tempauth kms encryption proxy-server' })).toEqual([])
    expect(failures({ pipeline: GOOD.replaceAll(' ', '\n  ') })).toEqual([])
    expect(failures({ encryption: 'disable_encryption = false' })).toEqual([])
  })

  it.each([
    ['no encryption', { pipeline: 'tempauth kms proxy-server' }, ['encryption: none']],
    ['no keymaster', { pipeline: 'tempauth encryption proxy-server' }, ['keymaster: none']],
    [
      'another keymaster as well',
      { pipeline: 'tempauth file_keymaster kms encryption proxy-server' },
      ['keymaster: file_keymaster, kms'],
    ],
    [
      'the keymaster behind encryption',
      { pipeline: 'tempauth encryption kms proxy-server' },
      ['keymaster-before-encryption: encryption kms', 'encryption-last: kms behind it'],
    ],
    [
      'something between the two',
      { pipeline: 'tempauth kms copy encryption proxy-server' },
      ['keymaster-before-encryption: kms copy encryption'],
    ],
    [
      'authentication behind the keymaster',
      { pipeline: 'kms encryption authtoken keystoneauth proxy-server' },
      [
        'authentication-before-keymaster: kms encryption authtoken keystoneauth',
        'encryption-last: authtoken, keystoneauth behind it',
      ],
    ],
    [
      'no authentication',
      { pipeline: 'kms encryption proxy-server' },
      ['authentication-before-keymaster: no authentication'],
    ],
    [
      'what reads objects behind encryption',
      { pipeline: 'tempauth kms encryption copy slo proxy-server' },
      ['encryption-last: copy, slo behind it'],
    ],
    [
      'no proxy at the end',
      { pipeline: 'tempauth kms encryption' },
      ['encryption-last: no proxy server at the end'],
    ],
    [
      'encryption switched off',
      { encryption: 'disable_encryption = Yes' },
      ['enabled: disable_encryption = Yes'],
    ],
    [
      'another keymaster.conf',
      { keymaster: 'keymaster_config_path = /etc/swift/other.conf' },
      ['keymaster-config-path: /etc/swift/other.conf'],
    ],
    [
      'options in both places',
      { keymaster: `keymaster_config_path = ${CONF}\nkey_id = x` },
      ['keymaster-config-path: key_id in the filter as well'],
    ],
    [
      'options in the filter alone',
      { keymaster: '' },
      ['keymaster-config-path: no keymaster_config_path'],
    ],
  ])('with %s is told', (_what, proxy, expected) => {
    expect(failures(proxy)).toEqual(expected)
  })

  it.each([
    ['without one', '[app:x]\n'],
    ['naming what is not there', '[pipeline:main]\npipeline = nothing proxy-server\n'],
    ['before any section', 'a = b\n'],
    ['that is no configuration', '[pipeline:main]\nhello\n'],
    ['with what stands for something else', '[pipeline:main]\npipeline = %(x)s\n'],
  ])('%s is refused', (_what, text) => {
    const read = (): unknown => checkPipeline(parseConfig(text, 'p.conf'), CONF)
    expect(read).toThrow(expect.objectContaining({ code: 'usage' }))
  })
})

const ID = '1d0b8b8d-90d5-4c67-9f12-3d1a3b7c5a10'

function readLines(lines: string): ReturnType<typeof readKeymasterConf> {
  return readKeymasterConf(parseConfig(`[kms_keymaster]\n${lines}`, 'keymaster.conf'))
}

describe('keymaster.conf', () => {
  const who = 'auth_endpoint = http://k/v3\npassword = p\n'

  it('may have several root secrets', () => {
    const other = ID.replace('1d', '2d')
    const conf = `${who}key_id = ${ID}\nkey_id_new = http://b/v1/secrets/${other}\nactive_root_secret_id = new`
    const { keyIds, active } = readLines(conf)
    expect([...keyIds]).toEqual([
      ['', ID],
      ['new', other],
    ])
    expect(active).toBe('new')
  })

  it.each([
    ['no root secret', who],
    ['an active one that is not there', `${who}key_id = ${ID}\nactive_root_secret_id = x`],
    ['an id that Barbican does not take', `${who}key_id = 1234`],
    ['a suffix that Swift does not take', `${who}key_id = ${ID}\nkey_id2 = ${ID}`],
    ['no password', `auth_endpoint = http://k\nkey_id = ${ID}`],
    ['no keystone', `password = x\nkey_id = ${ID}`],
    ['a trust', `${who}key_id = ${ID}\ntrust_id = x`],
  ])('with %s is refused', (_what, lines) => {
    expect(() => readLines(lines)).toThrow(expect.objectContaining({ code: 'usage' }))
  })

  it('never shows what it does not understand', () => {
    expect(() => parseConfig('[a]\npassword hunter2', 'f')).toThrow(/^(?!.*hunter2)/)
    expect(() => parseConfig('[a]\npassword = %(hunter2)s', 'f')).toThrow(/^(?!.*hunter2)/)
  })
})

describe('a root secret', () => {
  const good = {
    type: 'symmetric',
    algorithm: 'AES',
    bitLength: 256,
    expiration: null,
    payloadBytes: 32,
  }

  it.each([
    ['is as Swift wants it', {}, []],
    ['may be longer', { bitLength: 512, payloadBytes: 64 }, []],
    ['is symmetric', { type: 'opaque' }, ['type']],
    ['is AES', { algorithm: '3des' }, ['algorithm']],
    ['says that it is AES', { algorithm: null }, ['algorithm']],
    ['has 256 bits', { bitLength: 128, payloadBytes: 16 }, ['bits', 'bytes']],
    ['has as many as it says', { payloadBytes: 16 }, ['bytes']],
    ['never expires', { expiration: '2030-01-01T00:00:00Z' }, ['expiration']],
  ])('%s: %j', (_what, changes, failed) => {
    const checks = checkRootSecret('', { ...good, ...changes })
    const names = checks.flatMap(({ name, result }) => (result === 'fail' ? name : []))
    expect(names).toEqual(failed.map((name) => `root-secret ${name}`))
  })
})
