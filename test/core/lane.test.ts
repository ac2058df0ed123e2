import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { run } from '../harness/run.js'

const LANE = new URL('../../dist/core/lane.js', import.meta.url).href

// What Node takes for the program of --eval, it does not take for the file of a thread.
it('a thread starts in a program that was given on the command line', () => {
  const program = `
    import { besideLane } from ${JSON.stringify(LANE)}
    const lane = besideLane({ kind: 'hash', hash: { node: 'sha256' } }, undefined)
    await lane.update(Buffer.from('image'))
    console.log((await lane.finish()).toString('hex'))
    await lane.close()
  `
  const told = run(process.execPath, ['--input-type=module', '--eval', program])
  expect(told.toString().trim()).toBe(createHash('sha256').update('image').digest('hex'))
})
