import { describe, expect, it } from 'vitest'
import { directRules, isDirect } from '../../src/openstack/http/no-proxy.js'
import { outputOf } from '../harness/program.js'

const ours = (url: string, none: string): boolean => isDirect(new URL(url), directRules(none))

const URLS = [
  'http://10.1.2.3:5000/v3',
  'https://10.1.2.3/',
  'http://192.168.1.5:9292/',
  'https://keystone.example.com:5000/v3',
  'https://example.com/',
  'https://KEYSTONE.Example.com/',
  'http://[fd00::5]:8776/',
  'http://localhost:5000/',
]

const VALUES = [
  '',
  '*',
  '10.0.0.0/8',
  '10.1.2.3',
  '10.1.2.3/32',
  '10.1.2.0/25',
  '10.2.0.0/16',
  '10.0.0.0/0',
  '10.0.0.0/33',
  '10.0.0.0/x',
  '192.168.1.0/24,10.0.0.0/8',
  ' 192.168.1.0/24 , localhost',
  'example.com',
  '.example.com',
  'keystone.example.com:5000',
  'keystone.example.com:5001',
  '.example.com:5000',
  'com',
  'fd00::5',
  'localhost',
  ',,',
]

const ASK_REQUESTS = `
import json, sys
from requests.utils import should_bypass_proxies
urls, values = json.loads(sys.argv[1])
print(json.dumps([[should_bypass_proxies(url, value) for url in urls] for value in values]))
`

describe('NO_PROXY', () => {
  it('means what it means to requests', { timeout: 30_000 }, async () => {
    const asked = JSON.stringify([URLS, VALUES])
    const said: unknown = JSON.parse(
      await outputOf('/usr/bin/python3', ['-c', ASK_REQUESTS, asked], { env: {} }),
    )
    expect(VALUES.map((none) => URLS.map((url) => ours(url, none)))).toEqual(said)
  })

  it.each([
    ['networks of IPv6', 'http://[fd00::5]:8776/', 'fd00::/8', true],
    ['other networks of IPv6', 'http://[2001:db8::5]/', 'fd00::/8', false],
    ['networks in brackets', 'http://[fd00::5]/', '[fd00::]/8', true],
    ['an address in brackets', 'http://[fd00::5]:1/', '[fd00::5]', true],
    ['an address written at length', 'http://[fd00::5]/', 'fd00:0:0:0:0:0:0:5', true],
    ['an address with its port', 'http://[fd00::5]:1/', '[fd00::5]:1', true],
    ['an address with another port', 'http://[fd00::5]:1/', '[fd00::5]:2', false],
    ['an IPv4 address with its port', 'http://10.1.2.3:5000/', '10.1.2.3:5000', true],
    ['an IPv4 address with another port', 'http://10.1.2.3:5000/', '10.1.2.3:80', false],
    ['a name with the usual port', 'https://example.com/', 'example.com:443', true],
    ['all below a name', 'http://a.example.com/', '*.example.com', true],
    ['blanks between them', 'http://b/', 'a b', true],
  ])('and to curl: %s', (_what, url, none, expected) => {
    expect(ours(url, none)).toBe(expected)
  })

  it('does not mean names that only end the same', () => {
    expect(ours('http://badexample.com/', 'example.com')).toBe(false)
  })
})
