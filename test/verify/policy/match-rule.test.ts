import { describe, expect, it } from 'vitest'
import { type PolicyRule, ruleFor } from '../../../src/verify/policy/index.js'
import { matches } from '../../../src/verify/policy/match-rule.js'
import { fc, prop } from '../../harness/property.js'

function rule(name: string, scope: Partial<PolicyRule> = {}): PolicyRule {
  return { name, place: { line: 1, column: 1 }, signature: 'off', ...scope }
}

describe('patterns', () => {
  it.each([
    ['a', 'a', true],
    ['a', 'A', false],
    ['a', 'ab', false],
    ['*', '', true],
    ['*', 'anything\nat all', true],
    ['a*', 'a', true],
    ['a*', 'ba', false],
    ['*a', 'ba', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a*bc*bc', 'abc', false],
    ['**', 'x', true],
    ['a.c', 'abc', false],
    ['[a]', 'a', false],
    ['', '', true],
  ])('%j for %j: %s', (pattern, value, expected) => {
    expect(matches(pattern, value)).toBe(expected)
  })

  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 8 })
  prop([letters, fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 })])(
    'mean what a regular expression says',
    (pattern, value) => {
      const parts = pattern.split('*').map((part) => part.replaceAll('.', String.raw`\.`))
      expect(matches(pattern, value)).toBe(new RegExp(`^${parts.join('.*')}$`).test(value))
    },
  )
})

describe('the rule of an image', () => {
  const rules = [
    rule('both', { projects: ['p*'], images: ['i'] }),
    rule('name', { images: ['n'] }),
    rule('project', { projects: ['q'] }),
  ]
  const policy = { name: 'policy.yaml', rules }

  it.each([
    [{ project: 'p1', imageName: 'i' }, 'both'],
    [{ project: 'p1', imageName: 'n' }, 'name'],
    [{ project: 'q', imageName: 'x' }, 'project'],
    [{ project: 'x', imageName: 'x' }, 'no rule'],
    // The first rule cannot apply, whatever the name is.
    [{ project: 'q', imageName: 'n' }, 'name'],
    [{ imageName: 'n' }, 'name'],
  ])('%j falls under: %s', (subject, name) => {
    expect(ruleFor(policy, subject).name).toBe(name)
  })

  it.each([
    [{}],
    [{ project: 'p1' }],
    [{ imageName: 'i' }],
    [{ project: 'q' }],
    [{ imageName: 'x' }],
  ])('%j is not known well enough', (subject) => {
    expect(() => ruleFor(policy, subject)).toThrow(/which is not known/)
  })

  it('is a required signature when none applies', () => {
    expect(ruleFor({ name: 'p', rules: [] }, {}).signature).toBe('required')
  })
})
