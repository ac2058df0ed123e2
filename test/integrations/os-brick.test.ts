import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { runProgram } from '../harness/program.js'

/** Debian's, which has the services' libraries. */
const PYTHON = '/usr/bin/python3'
const PACKAGE = fileURLToPath(new URL('../../integrations/os-brick', import.meta.url))
const hasOsBrick = spawnSync(PYTHON, ['-c', 'import os_brick']).status === 0
const asRoot = process.getuid?.() === 0

it.skipIf(!hasOsBrick)(
  'the encryptor for os-brick passes its own tests (python3-os-brick)',
  async () => {
    const unittest = ['-B', '-W', 'ignore', '-m', 'unittest', 'discover', '-b', '-v']
    const place = ['-s', PACKAGE, '-t', PACKAGE]
    const { code, stderr } = await runProgram(PYTHON, [...unittest, ...place])
    console.log(stderr)
    expect(code).toBe(0)
    // Without root, those with the privsep daemon are left out.
    expect(stderr).toMatch(
      asRoot ? /^Ran \d\d tests.*\n\nOK$/m : /^Ran \d\d tests.*\n\nOK \(skipped=2\)$/m,
    )
  },
)
