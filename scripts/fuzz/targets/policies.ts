import { type Policy, parsePolicy, ruleFor } from '../../../src/verify/index.js'
import { hold, type Target } from '../target.js'

export const POLICY_TARGETS: readonly Target[] = [
  { name: 'policy', seeds: makePolicies, run: readPolicy },
]

const MOST_CHARACTERS = 32 * 1024
const FINGERPRINT = 'ab'.repeat(32)

const BLOCK = `# which images must be signed
version: 1
rules:
  - name: "production"
    projects: [a, 'b*']
    images:
      - "ubuntu-*"
      - >-
        folded
        text
    signature: required
    key_types: [RSA-PSS, ECC_SECP384R1]
    minimum_bits: { RSA-PSS: 3072 }
    certificates:
      - file: signer.pem
      - fingerprint: ${FINGERPRINT}
    maximum_age: 90d
    formats: [raw, qcow2]
  - signature: if-signed
    images: [&anchor "x", *anchor]
  - signature: off
`

/** Short ones too, whose every byte is changed sooner. */
const SEEDS = [
  BLOCK,
  BLOCK.replaceAll('\n', '\r\n'),
  'version: 1\nrules: [{signature: off}]\n',
  '{"version": 1, "rules": [{"images": ["a*"], "formats": ["raw"]}]}',
  'version: 1\nrules:\n- name: |\n   a\n   b\n- ? signature\n  : if-signed\n',
  '%YAML 1.2\n---\nversion: 1\nrules:\n- {}\n...\n---\n{}\n',
  'a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n<<: *a\n!!str d: !t e\n',
]

function makePolicies(): Buffer[] {
  return SEEDS.map((text) => Buffer.from(text))
}

async function read(text: string): Promise<Policy | undefined> {
  const { policy, problems } = await parsePolicy(text, 'policy.yaml', async (file) =>
    file.endsWith('.pem')
      ? await Promise.resolve({ content: Buffer.alloc(0), fingerprint: FINGERPRINT })
      : 'no such file',
  )
  const lines = text.split('\n').length
  for (const { line, column, message } of problems) {
    hold(line >= 1 && line <= lines && column >= 1, 'a problem has its place in the text')
    hold(message !== '', 'a problem has words')
  }
  return problems.length === 0 ? policy : undefined
}

/** As `loadPolicy` reads it; what was understood is what it is when it is written plainly. */
async function readPolicy(bytes: Buffer): Promise<void> {
  const policy = await read(bytes.toString())
  if (policy === undefined) return
  hold(policy.rules.length > 0, 'a policy has rules')
  // Escapes may make it longer than a policy can be.
  if (plain(policy).length > MOST_CHARACTERS) return
  const again = await read(plain(policy))
  hold(again !== undefined, 'a policy that was read can be written')
  hold(plain(again) === plain(policy), 'a policy is read as it was meant')
  const subject = { project: 'a', imageName: 'ubuntu-24.04' }
  const { signature } = ruleFor(policy, subject)
  hold(ruleFor(again, subject).signature === signature, 'the same rule applies')
}

/** A policy as JSON, which is YAML. */
function plain({ rules }: Policy): string {
  const written = rules.map((rule) => ({
    name: rule.name,
    projects: rule.projects,
    images: rule.images,
    signature: rule.signature,
    key_types: rule.keyTypes,
    minimum_bits: rule.minimumBits === undefined ? undefined : Object.fromEntries(rule.minimumBits),
    certificates: rule.certificates?.map(({ fingerprint }) => ({ fingerprint })),
    maximum_age: rule.maximumAge?.text,
    formats: rule.formats,
  }))
  return JSON.stringify({ version: 1, rules: written })
}
