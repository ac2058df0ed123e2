import { expect, it } from 'vitest'
import { hasJsonschema, schemaFaults } from '../harness/schema.js'
import { preparedScene } from './prepared.js'
import { onlyJson, shell } from './scene.js'

const LONG_MS = 300_000

/** A command line, and its exit code. */
const LINES: readonly (readonly [string, number])[] = [
  ['verify image.raw --cert cert.pem', 0],
  ['verify image.raw --cert cert.pem --explain', 0],
  ['verify image.raw --cert cert.pem --log-format openstack', 0],
  ['verify image.raw --cert cert.pem --profile cursive', 0],
  ['verify image.raw --cert cert.pem --trusted cert.pem --explain', 0],
  ['verify image.raw --trusted leaf.pem --cert cert.pem', 13],
  ['verify image.raw --policy policy.yaml --explain', 0],
  ['verify cert.pem --policy unsigned.yaml', 0],
  ['verify image.raw --cert cert.pem --policy old.yaml --explain', 17],
  ['verify image.raw --cert key.pem', 12],
  ['verify image.raw --cert missing.pem', 15],
  ['verify missing.raw --cert cert.pem --explain', 15],
  ['verify cert.pem --explain', 11],
  ['verify cert.pem --properties image.raw.signature.json --cert cert.pem --explain', 10],
  ['verify image.raw cert.pem --cert cert.pem --explain', 40],
  ['verify image.raw --no-such-option', 2],
]

const PREPARE = [
  'volseal cert create --key key.pem --subject CN=leaf --out leaf.pem',
  `echo '{"version": 1, "rules": [{"certificates": [{"file": "cert.pem"}]}]}' >policy.yaml`,
  `echo '{"version": 1, "rules": [{"signature": "if-signed"}]}' >unsigned.yaml`,
  `echo '{"version": 1, "rules": [{"maximum_age": "1h"}]}' >old.yaml`,
].join(' && ')

it.skipIf(!hasJsonschema)(
  'verify --json is what its schema says (Debian package python3-jsonschema)',
  { timeout: LONG_MS },
  async () => {
    const scene = await preparedScene()
    const made = await shell(scene, PREPARE)
    expect(made.code).toBe(0)
    const ended = await Promise.all(
      LINES.map(async ([line]) => await shell(scene, `volseal ${line} --json`)),
    )
    expect(ended.map(({ code }) => code)).toEqual(LINES.map(([, code]) => code))
    const faults = schemaFaults('verify.schema.json', ended.map(onlyJson))
    expect(faults).toEqual(LINES.map(() => null))
  },
)
