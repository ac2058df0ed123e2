import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { exampleOf, IN_A_CLOUD } from '../cli/commands.js'
import { volseal } from '../harness/cloud-command.js'
import { openstack } from '../harness/openstack.js'
import { type Ended, runProgram } from '../harness/program.js'
import { CLI, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

/** The examples of the commands that need a cloud, as their help shows them. */

const LONG = { timeout: 120_000 }
const testbed = sharedTestbed()
const here = scratchDirectory()
const variables: Record<string, string> = {}

async function shell(script: string, more: Record<string, string> = {}): Promise<Ended> {
  const command = `volseal() { ${process.execPath} ${CLI} "$@"; }`
  return await runProgram('sh', ['-c', `cd ${here} && ${command}\n${script}`], {
    env: { OS_CLIENT_CONFIG_FILE: join(here, 'clouds.yaml'), HOME: here, ...variables, ...more },
  })
}

beforeAll(async () => {
  // alice is who works there.
  const clouds = readFileSync(testbed().clouds, 'utf8').replace('"alice": {', '"ops": {')
  writeFileSync(join(here, 'clouds.yaml'), clouds)
  writeFileSync(join(here, 'image.raw'), 'an image')
  const script = [
    'set -e',
    'volseal keypair create --type RSA-PSS --out key.pem',
    'volseal cert create --key key.pem --subject CN=signer --out cert.pem',
    'volseal sign image.raw --key key.pem --cert cert.pem --publish --os-cloud ops --json',
  ]
  const { code, stdout, stderr } = await shell(script.join('\n'))
  expect({ code, stdout, stderr }).toMatchObject({ code: 0, stderr: '' })
  variables['IMAGE_ID'] = JSON.parse(stdout.split('\n').at(-2) ?? '').imageId
  const luks = ['--encryption-provider', 'luks', '--encryption-cipher', 'aes-xts-plain64']
  const more = ['--encryption-key-size', '512', '--encryption-control-location', 'front-end']
  await openstack(testbed(), 'admin', ['volume', 'type', 'create', 'LUKS', ...luks, ...more])
}, LONG.timeout)

/** An image for an example that leaves none. */
async function newImage(): Promise<string> {
  const raw = ['--disk-format', 'raw', '--file', join(here, 'image.raw'), 'to be deleted']
  return (await openstack<{ id: string }>(testbed(), 'alice', ['image', 'create', ...raw])).id
}

async function ofItsOwn(path: string): Promise<Record<string, string>> {
  return path === 'images delete' ? { IMAGE_ID: await newImage() } : {}
}

/** Swift's are in swift-root-key.test.ts. */
const PATHS = [...IN_A_CLOUD].filter((path) => !path.startsWith('swift'))

describe('the example', () => {
  it.each(PATHS)('of %s runs as pasted', LONG, async (path) => {
    const own = await ofItsOwn(path)
    const help = await runProgram(process.execPath, [CLI, ...path.split(' '), '--help'])
    const { code, stderr } = await shell(exampleOf(help.stdout), own)
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('error') })
  })

  it.each(PATHS)('of %s is one JSON object with --json, errors too', LONG, async (path) => {
    const schema = `volseal/${path.replaceAll(' ', '-')}/1`
    const help = await runProgram(process.execPath, [CLI, ...path.split(' '), '--help'])
    const example = exampleOf(help.stdout).replace(/ >.*|--format \S+/g, '')
    const good = await shell(`${example} --json`, await ofItsOwn(path))
    expect(JSON.parse(good.stdout)).toMatchObject({ schema, ok: true })
    const bad = await volseal(testbed(), 'nobody', [...path.split(' '), '--json', ...OPERANDS])
    expect(JSON.parse(bad.stdout)).toMatchObject({ schema, ok: false })
  })
})

const OPERANDS: readonly string[] = ['0']
