import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makePrivateDirectories } from '../../src/core/files.js'
import { scratchDirectory } from '../harness/run.js'

const directory = scratchDirectory()

it('makes a directory and those above it, for nobody else', async () => {
  const path = join(directory, 'a', 'b', 'c')
  await Promise.all([makePrivateDirectories(path), makePrivateDirectories(path)])
  for (const made of [path, join(directory, 'a'), join(directory, 'a', 'b')]) {
    expect(statSync(made).mode & 0o777).toBe(0o700)
  }
})

it('leaves one that is there as it is, also behind a link', async () => {
  const there = join(directory, 'there')
  mkdirSync(there, { mode: 0o755 })
  symlinkSync(there, join(directory, 'link'))
  await makePrivateDirectories(join(directory, 'link'))
  expect(statSync(there).mode & 0o777).toBe(0o755)
})

it('says at once what can never be made', async () => {
  const file = join(directory, 'file')
  writeFileSync(file, '')
  await expect(makePrivateDirectories(file)).rejects.toMatchObject({ code: 'EEXIST' })
  await expect(makePrivateDirectories(join(file, 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  // With `recursive`, mkdir would not come to an end here.
  await expect(makePrivateDirectories('/proc/x')).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(makePrivateDirectories('/proc/x/y')).rejects.toMatchObject({ code: 'ENOENT' })
})
