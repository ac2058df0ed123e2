import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openCloud, publishImage } from '../../src/index.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { scratchDirectory } from '../harness/run.js'
import { ownTestbed } from '../harness/testbed.js'

// Else the services take for five minutes more what they have taken once.
const testbed = ownTestbed('--with', 'fresh-tokens')
const directory = scratchDirectory()
const MIB = 1024 * 1024

async function revoke(token: string): Promise<number> {
  const headers = { 'X-Auth-Token': token, 'X-Subject-Token': token }
  const address = `${testbed().urls.keystone}/auth/tokens`
  return (await fetch(address, { method: 'DELETE', headers })).status
}

it('publishing goes on when its token is revoked in the middle of the upload', async () => {
  const image = join(directory, 'image.raw')
  writeFileSync(image, randomBytes(40 * MIB))
  const { key, certificate } = makeOpensslKey(directory, 'RSA-PSS', 'revoked')
  const cloud = await openCloud({
    cloud: 'alice',
    env: { OS_CLIENT_CONFIG_FILE: testbed().clouds },
  })
  const token = (await cloud.session.token()).value()
  let revoking: Promise<number> | undefined
  const { imageId, verification } = await publishImage({
    cloud,
    image,
    key: readFileSync(key),
    certificate: readFileSync(certificate),
    write: false,
    visibility: 'community',
    onUploadProgress: (bytes) => {
      if (bytes >= 10 * MIB) revoking ??= revoke(token)
    },
  })
  expect(await revoking).toBe(204)
  expect((await cloud.session.token()).value()).not.toBe(token)
  expect(verification).toMatchObject({ verdict: 'accepted' })
  const { status, visibility, properties } = await cloud.glance.show(imageId)
  expect({ status, visibility }).toEqual({ status: 'active', visibility: 'community' })
  expect(Object.keys(properties).filter((name) => name.startsWith('volseal_'))).toEqual([])
  await cloud.close()
})
