import { randomBytes } from 'node:crypto'
import { truncateSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { LUKS1_HEADER_BYTES, parseLuks1Header } from '../../src/encryptor/header/luks1-header.js'
import { tokenJson } from '../../src/encryptor/header/volume-token.js'
import { inspectVolume, VolsealError } from '../../src/index.js'
import { editLuks2 } from '../harness/edit-luks2.js'
import { run, scratchDirectory } from '../harness/run.js'
import { blankFile, cryptsetupFormat, poke } from '../harness/volumes.js'

const MIB = 1024 * 1024
const directory = scratchDirectory()

async function codeOf(device: string): Promise<string> {
  try {
    const { findings } = await inspectVolume(device)
    return findings.length === 0 ? 'shown' : 'refused'
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

describe('LUKS1', () => {
  it('is shown as cryptsetup shows it, with every keyslot', async () => {
    const device = blankFile(directory, 'luks1', 10 * MIB)
    cryptsetupFormat(device, 'luks1', 'one')
    const keyFile = blankFile(directory, 'two', 0)
    run('sh', ['-c', `printf one > ${directory}/one; printf two > ${keyFile}`])
    const pbkdf = ['--pbkdf-force-iterations', '1234', '--key-slot', '5']
    run('cryptsetup', [
      'luksAddKey',
      '-q',
      ...pbkdf,
      '--key-file',
      `${directory}/one`,
      device,
      keyFile,
    ])
    const report = await inspectVolume(device)
    const dump = run('cryptsetup', ['luksDump', device]).toString()
    expect(dump).toContain(`UUID:          \t${report.uuid}`)
    expect(report.keyslots).toEqual([
      { number: 0, pbkdf: 'pbkdf2', hash: 'sha256', iterations: 1000, memory: null },
      { number: 5, pbkdf: 'pbkdf2', hash: 'sha256', iterations: 1234, memory: null },
    ])
  })
})

describe('LUKS2', () => {
  it('is shown with label, tokens and the cost of its keyslots', async () => {
    const device = blankFile(directory, 'luks2', 40 * MIB)
    const kdf = ['--pbkdf', 'argon2id', '--pbkdf-force-iterations', '4', '--pbkdf-memory', '65536']
    const label = ['--label', 'volume 1', '--sector-size', '4096', '--key-size', '256']
    run(
      'cryptsetup',
      ['luksFormat', '-q', '--type', 'luks2', ...kdf, ...label, '--key-file=-', device],
      'x',
    )
    const token = JSON.stringify({ type: 'openstack-barbican', keyslots: ['0'], key_id: 'k' })
    run('cryptsetup', ['token', 'import', '--json-file', '-', device], token)
    expect(await inspectVolume(device)).toMatchObject({
      label: 'volume 1',
      keySize: 256,
      effectiveCipher: 'AES-128-XTS',
      sectorSize: 4096,
      keyslots: [{ number: 0, pbkdf: 'argon2id', hash: null, iterations: 4, memory: 64 * MIB }],
      tokens: [{ number: 0, type: 'openstack-barbican' }],
      token: null,
      findings: [],
      warnings: [],
    })
  })

  it('is shown with what volseal’s own token says, once it is as volseal writes it', async () => {
    const device = blankFile(directory, 'token', 40 * MIB)
    cryptsetupFormat(device, 'luks2', 'x')
    const said = {
      keyslots: [0],
      keyId: 'k',
      volumeId: 'v',
      encoding: 'hex',
      phase: 'ready',
    } as const
    const importToken = ['token', 'import', '--json-file', '-', device]
    run('cryptsetup', importToken, tokenJson(said))
    expect(await inspectVolume(device)).toMatchObject({ token: said, findings: [], warnings: [] })
    editLuks2(device, { json: { 'tokens.0.phase': 'over' } })
    const warnings = ['token 0 is not as volseal writes it; it is not used']
    expect(await inspectVolume(device)).toMatchObject({ token: null, findings: [], warnings })
    run('cryptsetup', importToken, tokenJson(said))
    expect((await inspectVolume(device)).warnings).toEqual([
      'there are 2 tokens of type volseal, where one was expected; none is used',
    ])
  })

  it('is shown with what makes it unacceptable', async () => {
    const device = blankFile(directory, 'forged', 40 * MIB)
    cryptsetupFormat(device, 'luks2', 'x')
    editLuks2(device, {
      json: { 'segments.0.encryption': 'cipher_null-ecb', 'keyslots.0.kdf.iterations': 1e9 },
    })
    expect(await inspectVolume(device)).toMatchObject({
      plain: true,
      cipher: 'cipher_null-ecb',
      findings: [
        expect.stringContaining('segment cipher: segment 0: expected an allowed cipher'),
        expect.stringContaining('key derivation: expected at most'),
      ],
    })
  })
})

describe('what is no usable LUKS volume', () => {
  it.each([
    ['a blank file', () => undefined, 'not-found'],
    ['data', (path: string) => poke(path, 0, randomBytes(4096)), 'not-found'],
    [
      'a LUKS1 header of nonsense',
      (path: string) => poke(path, 0, Buffer.from('4c554b53babe0001', 'hex')),
      'refused',
    ],
    [
      'a LUKS2 header of nonsense',
      (path: string) => poke(path, 0, Buffer.from('4c554b53babe0002', 'hex')),
      'header-damaged',
    ],
    [
      'a LUKS1 volume cut short',
      (path: string) => {
        cryptsetupFormat(path, 'luks1', 'x')
        truncateSync(path, MIB)
      },
      'refused',
    ],
  ])('%s is told as such', async (name, fill, expected) => {
    const device = blankFile(directory, name, 20 * MIB)
    fill(device)
    expect(await codeOf(device)).toBe(expected)
  })

  it('a file that is not there is no device', async () => {
    expect(await codeOf(`${directory}/nowhere`)).toBe('no-device')
  })
})

describe('parseLuks1Header', () => {
  it('returns nothing for too few bytes, and never throws on rubbish', () => {
    const magic = Buffer.from('4c554b53babe0001', 'hex')
    expect(parseLuks1Header(magic)).toBeUndefined()
    for (let round = 0; round < 200; round += 1) {
      const rubbish = Buffer.concat([magic, randomBytes(LUKS1_HEADER_BYTES)])
      expect(parseLuks1Header(rubbish)).toBeDefined()
    }
  })
})
