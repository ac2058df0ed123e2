import { expectSuccess, makeScene, type Scene, shell } from './scene.js'

/** What the examples of `--help` and most tests find, made by the commands that they test. */
const PREPARATION = `
set -e
yes 'the bytes of an image' | head -c 3000000 >image.raw
volseal keypair create --type RSA-PSS --bits 2048 --out key.pem
volseal cert create --key key.pem --subject 'CN=image signing' --out cert.pem
volseal sign image.raw --key key.pem --cert cert.pem
printf 'version: 1\\nrules:\\n  - formats: [raw]\\n' >policy.yaml
truncate -s 64M volume.img luks.img
volseal secret put cert.pem --type certificate >../cert-id
volseal secret create >../key-id
volseal luks format luks.img --provider luks2 --key-id "$(cat ../key-id)"
cat ../cert-id ../key-id
`

/**
 * A scene with image.raw and its signature files, key.pem, cert.pem, policy.yaml, volume.img (blank), luks.img,
 * and a key store whose secrets KEY_ID and CERT_ID name.
 */
export async function preparedScene(): Promise<Scene> {
  const scene = makeScene()
  const printed = await expectSuccess(shell(scene, PREPARATION))
  const [certId = '', keyId = ''] = printed.trimEnd().split('\n').slice(-2)
  return { ...scene, env: { ...scene.env, KEY_ID: keyId, CERT_ID: certId } }
}
