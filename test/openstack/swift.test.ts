import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { userOf } from '../harness/openstack.js'
import { openApi } from '../harness/openstack-api.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()

/** All bytes that swift has on its device. */
function onDevice(directory: string): Buffer {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
  return Buffer.concat(
    files
      .filter((file) => file.isFile())
      .map((file) => readFileSync(join(file.parentPath, file.name))),
  )
}

describe('swift', () => {
  it('keeps objects encrypted, and gives them back in clear', async () => {
    const ask = await openApi(testbed(), 'alice', 'swift')
    const account = `/AUTH_${userOf(testbed(), 'alice').projectId}`
    const object = `${account}/container/object`
    const bytes = Buffer.from(`a mark that shows ${randomBytes(16).toString('hex')}`)
    expect((await ask('PUT', `${account}/container`)).status).toBe(201)
    expect((await ask('PUT', object, { bytes })).status).toBe(201)
    expect((await ask('GET', object)).bytes).toEqual(bytes)
    const stored = onDevice(testbed().paths.swiftDevices)
    expect(stored.length).toBeGreaterThan(bytes.length)
    expect(stored.includes(bytes)).toBe(false)
  })

  it('gives them to no other project', async () => {
    const ask = await openApi(testbed(), 'dave', 'swift')
    const account = `/AUTH_${userOf(testbed(), 'alice').projectId}`
    expect((await ask('GET', account)).status).toBe(403)
  })
})
