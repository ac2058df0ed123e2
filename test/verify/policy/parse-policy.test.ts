import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../../../src/verify/policy/index.js'

/** `line:column: message` of all problems. */
async function problemsOf(text: string): Promise<string[]> {
  const { problems } = await parsePolicy(text, 'policy.yaml', async (file) =>
    file === 'good.pem'
      ? await Promise.resolve({ content: Buffer.from('x'), fingerprint: 'ab'.repeat(32) })
      : `cannot read ${file}`,
  )
  return problems.map(({ line, column, message }) => `${line}:${column}: ${message}`)
}

const RULES = 'version: 1\nrules:\n'

describe('a policy', () => {
  it('is read whole', async () => {
    const text = `# a comment
version: 1
rules:
  - name: "all of it"
    projects: [a, 'b*']
    images:
      - "*"
    signature: if-signed
    key_types: [RSA-PSS]
    minimum_bits: { RSA-PSS: 4096 }
    certificates:
      - file: good.pem
      - fingerprint: ${'CD:'.repeat(31)}CD
    maximum_age: 2w
    formats: [raw, qcow2]
  - {}
`
    expect(await problemsOf(text)).toEqual([])
    const { policy } = await parsePolicy(
      text,
      'p',
      async () =>
        await Promise.resolve({ content: Buffer.from('x'), fingerprint: 'ab'.repeat(32) }),
    )
    expect(policy.rules).toMatchObject([
      {
        name: 'all of it',
        place: { line: 4, column: 5 },
        projects: ['a', 'b*'],
        images: ['*'],
        signature: 'if-signed',
        keyTypes: ['RSA-PSS'],
        minimumBits: new Map([['RSA-PSS', 4096]]),
        certificates: [{ fingerprint: 'ab'.repeat(32) }, { fingerprint: 'cd'.repeat(32) }],
        maximumAge: { text: '2w', milliseconds: 14 * 86_400_000 },
        formats: ['raw', 'qcow2'],
      },
      { name: 'rule 2', signature: 'required', certificates: undefined },
    ])
  })

  it.each([
    ['nothing', '', '1:1: expected keys out of version, rules, got nothing'],
    ['no version', 'rules: [{}]', '1:1: version: is missing'],
    [
      'another version',
      'version: 2\nrules: [{}]',
      '1:10: version: expected the number 1, got a number',
    ],
    ['no rules', 'version: 1', '1:1: rules: is missing'],
    ['an empty list', 'version: 1\nrules: []', '2:8: rules: expected a list that is not empty'],
    ['an unknown key', `${RULES}  - {}\nmore: 1`, '4:1: expected one of the keys version, rules'],
    ['a misspelt key', `${RULES}  - image: [a]`, '3:5: rules[0]: expected one of the keys name'],
    [
      'a key of prototypes',
      `${RULES}  - constructor: 1`,
      '3:5: rules[0]: expected one of the keys',
    ],
    ['a duplicate key', `${RULES}  - name: a\n    name: b`, '4:5: "name" is there twice'],
    ['a merge key', `${RULES}  - <<: {name: a}`, '3:5: rules[0]: expected one of the keys'],
    ['an anchor', `${RULES}  - name: &a b`, '3:14: anchors (&) are not allowed'],
    ['an alias', `${RULES}  - &a {}\n  - *a`, '4:5: aliases (*) are not allowed'],
    ['an alias of nothing', `${RULES}  - *a`, '3:5: aliases (*)'],
    ['a tag', `${RULES}  - name: !!str a`, 'tags (!) are not allowed'],
    ['a tag of its own', `${RULES}  - !thing {}`, '3:5: no YAML: Unresolved tag'],
    ['two documents', `${RULES}  - {}\n---\nversion: 1`, '1:1: expected one document, got several'],
    ['a directive', `%YAML 1.1\n---\n${RULES}  - {}`, '1:1: directives such as %YAML'],
    ['no YAML', `${RULES}  - [`, 'no YAML: '],
    ['a tab', `${RULES}\t- {}`, 'no YAML: '],
    ['a list as a key', `${RULES}  - [a]: b`, '3:5: expected a name before the colon'],
    ['a number as a key', `${RULES}  - 1: b`, '3:5: expected a name before the colon'],
    [
      'a number for a text',
      `${RULES}  - name: 12`,
      '3:11: rules[0].name: expected a text of 1 to 255 characters, got a number (put it in quotes)',
    ],
    [
      'an id that is a number',
      `${RULES}  - projects: [00000000000000000000000000000012]`,
      'got a number (put it in quotes)',
    ],
    [
      'a text for a list',
      `${RULES}  - projects: a`,
      '3:15: rules[0].projects: expected a list that is not empty, got "a"',
    ],
    [
      'an empty text',
      `${RULES}  - images: [""]`,
      '3:14: rules[0].images[0]: expected a text of 1 to 255 characters, got ""',
    ],
    [
      'an unknown word',
      `${RULES}  - signature: maybe`,
      '3:16: rules[0].signature: expected one of required, if-signed, off, got "maybe"',
    ],
    [
      'a truth value',
      `${RULES}  - signature: false`,
      'rules[0].signature: expected one of required, if-signed, off, got a truth value',
    ],
    [
      'an unknown key type',
      `${RULES}  - key_types: [RSA]`,
      '3:17: rules[0].key_types[0]: expected one of RSA-PSS',
    ],
    [
      'sizes of a curve',
      `${RULES}  - minimum_bits: {ECC_SECP384R1: 384}`,
      '3:20: rules[0].minimum_bits: expected one of the keys RSA-PSS',
    ],
    [
      'a size that is too small',
      `${RULES}  - minimum_bits: {RSA-PSS: 1024}`,
      '3:29: rules[0].minimum_bits.RSA-PSS: expected a whole number from 2048 to 16384',
    ],
    [
      'a size in quotes',
      `${RULES}  - minimum_bits: {RSA-PSS: "3072"}`,
      'expected a whole number from 2048 to 16384, got "3072"',
    ],
    [
      'a short fingerprint',
      `${RULES}  - certificates: [{fingerprint: "ab"}]`,
      '3:34: rules[0].certificates[0].fingerprint: expected a text with a SHA-256',
    ],
    [
      'an empty certificate',
      `${RULES}  - certificates: [{}]`,
      '3:20: rules[0].certificates[0]: expected one of fingerprint and file',
    ],
    [
      'both',
      `${RULES}  - certificates: [{file: good.pem, fingerprint: ${'ab'.repeat(32)}}]`,
      'expected one of fingerprint and file',
    ],
    [
      'a file that is not there',
      `${RULES}  - certificates: [{file: bad.pem}]`,
      '3:20: rules[0].certificates[0].file: cannot read bad.pem',
    ],
    [
      'an age without a unit',
      `${RULES}  - maximum_age: 90`,
      '3:18: rules[0].maximum_age: expected a text such as 90d',
    ],
    [
      'an age of none',
      `${RULES}  - maximum_age: 0d`,
      'rules[0].maximum_age: expected a text such as 90d',
    ],
    ['an unknown format', `${RULES}  - formats: [gpt]`, 'rules[0].formats[0]: expected one of raw'],
    [
      'demands without a signature',
      `${RULES}  - signature: off\n    key_types: [RSA-PSS]`,
      '4:5: rules[0].key_types: says nothing where signature is off',
    ],
    ['a rule that is a text', `${RULES}  - all`, '3:5: rules[0]: expected keys out of name'],
  ])('is refused for %s', async (_what, text, message) => {
    const problems = await problemsOf(text)
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.join('\n')).toContain(message)
  })

  it('tells all problems, in the order of their places', async () => {
    const text = `version: 3\nrules:\n  - name: 1\n    nmae: x\n    signature: on\n    name: &a x\n`
    const places = (await problemsOf(text)).map((problem) => problem.split(': ')[0])
    expect(places).toEqual(['1:10', '3:11', '4:5', '5:16', '6:5'])
    expect(await problemsOf(`${RULES}  - images: [&a b, *a]`)).toEqual([
      '3:17: anchors (&) are not allowed',
      '3:20: aliases (*) are not allowed',
    ])
  })
})

describe('a hostile policy', () => {
  it.each([
    ['too large', `# ${'x'.repeat(40_000)}`, 'expected at most 32768 characters, got 40002'],
    ['nested in brackets', '['.repeat(30_000), 'expected at most 30 levels, got more'],
    ['nested in one line', '- '.repeat(15_000), 'expected at most 30 levels, got more'],
    ['nested in questions', '? '.repeat(15_000), ''],
    [
      'nested by indentation',
      Array.from({ length: 200 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'),
      'levels',
    ],
    ['a bomb of aliases', 'a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]', 'not allowed'],
    ['closing brackets', ']'.repeat(32_000), 'no YAML'],
    ['control characters', '\0\u0001\u001b[31m', ''],
    ['a byte order mark', '\uFEFF', ''],
  ])('is refused: %s', async (_what, text, message) => {
    const problems = await problemsOf(text)
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.join('\n')).toContain(message)
  })
})
