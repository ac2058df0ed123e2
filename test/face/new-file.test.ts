import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { beginNamed, beginNameless, type NewFile } from '../../src/face/new-file.js'
import { scratchDirectory } from '../harness/run.js'

const directory = scratchDirectory()

function place(): string {
  return join(mkdtempSync(join(directory, 'place-')), 'made')
}

async function nameless(target: string): Promise<NewFile> {
  const begun = await beginNameless(target)
  if (begun === undefined) throw new Error('the temporary directory knows no files without a name')
  return begun
}

function namesBeside(target: string): string[] {
  return readdirSync(join(target, '..'))
}

it.each([
  ['without a name', nameless, 0],
  ['under a name of its own', beginNamed, 1],
])('a file %s is not there until it is kept, and then whole', async (_, begin, names) => {
  const target = place()
  const begun = await begin(target)
  await begun.file.write('content')
  expect(namesBeside(target)).toHaveLength(names)
  expect(await begun.keep()).toBe(true)
  await begun.close()
  expect(namesBeside(target)).toEqual(['made'])
  expect(readFileSync(target, 'utf8')).toBe('content')
  expect(statSync(target)).toMatchObject({ nlink: 1 })
  expect(statSync(target).mode % 0o1000).toBe(0o600)
})

it.each([
  ['without a name', nameless],
  ['under a name of its own', beginNamed],
])('a file %s does not take the place of another', async (_, begin) => {
  const target = place()
  const begun = await begin(target)
  writeFileSync(target, 'of somebody else')
  await expect(begun.keep()).rejects.toMatchObject({ code: 'busy' })
  await begun.close()
  expect(namesBeside(target)).toEqual(['made'])
  expect(readFileSync(target, 'utf8')).toBe('of somebody else')
})

it.each([
  ['without a name', nameless],
  ['under a name of its own', beginNamed],
])('a file %s is gone when it is not kept, or the signal says so', async (_, begin) => {
  const target = place()
  const begun = await begin(target)
  const reason = new Error('interrupted')
  await expect(begun.keep(AbortSignal.abort(reason))).rejects.toMatchObject({ code: 'interrupted' })
  await begun.close()
  expect(namesBeside(target)).toEqual([])
})

it('what somebody put in the place of the file is not handed on as ours', async () => {
  const target = place()
  const begun = await beginNamed(target)
  await begun.file.write('verified')
  const [ours = ''] = namesBeside(target)
  const other = join(target, '..', 'other')
  writeFileSync(other, 'not verified')
  renameSync(other, join(target, '..', ours))
  await expect(begun.keep()).rejects.toMatchObject({ code: 'busy' })
  await begun.close()
  expect(namesBeside(target)).toEqual([])
})
