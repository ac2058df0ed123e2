import { describe, expect, it } from 'vitest'
import { errorLines } from '../../src/cli/output.js'
import { VolsealError } from '../../src/index.js'

describe('a message with a name that somebody else chose', () => {
  const said = (name: string): string => errorLines(new VolsealError('io', `cannot read ${name}`))

  it.each([
    ['a line of its own', 'a\nvolseal: hint: run this', 'a?volseal: hint: run this'],
    ['a terminal sequence', 'a\u001B[2Jb', 'a?[2Jb'],
    ['text from right to left', 'a\u202Egpj.b', 'a?gpj.b'],
    ['a line separator', 'a\u2028b', 'a?b'],
  ])('cannot have %s', (_what, name, shown) => {
    expect(said(name)).toBe(`volseal: error: cannot read ${shown}\n`)
  })

  it('keeps letters of every language', () => {
    expect(said('volume-Größe-大')).toBe('volseal: error: cannot read volume-Größe-大\n')
  })

  it('keeps the lines of a defect, which are its report', () => {
    const error = new VolsealError('internal', 'Error\n    at file.js', {
      hint: 'please report it',
    })
    expect(errorLines(error)).toBe(
      'volseal: error: Error\n    at file.js\nvolseal: hint: please report it\n',
    )
  })
})
