import { basename } from 'node:path'
import { readCertificate } from '../../core/certificate.js'
import { VolsealError } from '../../core/errors.js'
import { type SignOptions, type SignResult, signImage } from '../../face/sign.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
  progressOption,
  withProgress,
} from '../cli.js'
import { labelOf, readOptional } from '../inputs.js'
import { PASSPHRASE_OPTIONS, type PassphraseChoice } from '../key-file.js'
import {
  KEY_MANAGER_OPTIONS,
  type KeyManagerChoice,
  withKeyManager,
} from '../key-manager-options.js'
import { overMany } from '../many.js'
import type { Outcome } from '../output.js'
import type { Progress, ProgressStyle } from '../progress.js'
import {
  PUBLISH_OPTIONS,
  type PublishChoice,
  publishAll,
  refuseUnclearPublishing,
} from '../publish-options.js'
import type { SignerChoice } from '../signer-command.js'
import { keyOf, refuseUnclearKey, SIGNING_OPTIONS } from '../signing-key.js'
import { indent, rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('sign', {
      summary:
        'sign images for Glance: IMAGE.signature, .signature.b64 and .signature.json; publish them',
      example: 'volseal sign image.raw --key key.pem --cert cert.pem',
      exitCodes: [
        'usage',
        'signature-malformed',
        'signature-mismatch',
        'signature-incompatible',
        'image-unsafe',
        'unchecked',
        'busy',
        'forbidden',
        'not-found',
        'unavailable',
        'keystore-damaged',
        'incomplete',
        'io',
        'interrupted',
      ],
    })
      .argument('<image...>', 'image files; - is stdin')
      .option(
        '--key <file>',
        'private key: PKCS#8, PKCS#1, EC, DSA or PKCS#12, with its certificate',
      )
      .option('--cert <file>', "the key's certificate, to prove that it fits")
      .option('--cert-id <id>', 'the same by its id in the key manager; goes into the properties')
      .option('--out <dir>', 'directory for the signature files, made if need be'),
    PUBLISH_OPTIONS,
    PASSPHRASE_OPTIONS,
    SIGNING_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(act(cli, 'sign', async (images, options) => await signAll(cli, images, options)))

interface SignChoice extends KeyManagerChoice, PassphraseChoice, SignerChoice, PublishChoice {
  readonly key?: string | undefined
  readonly cert?: string | undefined
  readonly certId?: string | undefined
  readonly hash: SignOptions['hash']
  readonly out?: string | undefined
  readonly progress: ProgressStyle
  readonly json?: true | undefined
}

async function signAll(cli: Cli, images: readonly string[], choice: SignChoice) {
  refuseUnclearKey(choice)
  refuseUnclearPublishing(choice, images)
  refuseSameNames(images, choice)
  const common = await readCommon(cli, choice)
  return await withProgress(cli, choice.progress, async (progress) =>
    choice.publish === true
      ? await publishAll(cli, progress, { images, signing: common, choice })
      : await signEach(cli, progress, { images, signing: common, choice }),
  )
}

async function signEach(
  cli: Cli,
  progress: Progress,
  {
    images,
    signing,
    choice,
  }: {
    readonly images: readonly string[]
    readonly signing: Omit<SignOptions, 'image'>
    readonly choice: SignChoice
  },
): Promise<Outcome> {
  let signed = 0
  const outcome = await overMany(cli, images, choice, async (image) => {
    if (image === '-' && choice.out === undefined) {
      throw new VolsealError('usage', 'standard input: --out says where its signature goes')
    }
    const result = await signImage({ ...signing, image, onProgress: progress.phase('signing') })
    signed += 1
    return { body: result, text: describe(result) }
  })
  if (signed > 0 && choice.certId === undefined) note(cli, WITHOUT_ID)
  return outcome
}

/** In one directory, the signatures of two images of one name would be one. */
function refuseSameNames(images: readonly string[], { out }: SignChoice): void {
  const names = images.map((image) => basename(image))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (out === undefined || twice === undefined) return
  throw new VolsealError('usage', `--out ${out}: two images are called ${twice}`, {
    hint: 'sign them into two directories',
  })
}

/** Key and certificate, read once for all images. */
async function readCommon(cli: Cli, choice: SignChoice): Promise<Omit<SignOptions, 'image'>> {
  const { certificate: inFile, ...key } = await keyOf(cli, choice)
  const { cert, certId, publish } = choice
  // One that is published is looked up with the rest of what that needs.
  const named = await certificateOf(
    cli,
    publish === true ? { ...choice, certId: undefined } : choice,
  )
  const isNamed = cert !== undefined || certId !== undefined
  const used = isNamed ? named : inFile
  if (used !== undefined) noteCertificate(cli, used, choice, !isNamed)
  else if (!isNamed) {
    note(cli, 'no certificate is named, so nobody has checked that one fits the key')
  }
  return {
    ...key,
    hash: choice.hash,
    certificate: used,
    certificateName: labelOf(choice.cert),
    certificateId: choice.certId,
    out: choice.out,
    signal: cli.signal,
  }
}

/** The one property that says nothing without a key manager. */
const WITHOUT_ID =
  'img_signature_certificate_uuid is still missing: sign with --cert-id ID, which `volseal secret put CERT --type certificate` prints'

/** A certificate out of its time is worth a word, and no refusal: it may be renewed with its key. */
function noteCertificate(cli: Cli, content: Buffer, choice: SignChoice, isInKey: boolean): void {
  const name = labelOf(choice.cert) ?? 'the certificate'
  const { subject, notBefore, notAfter } = readCertificate(content, name)
  if (isInKey) note(cli, `${labelOf(choice.key)} holds the certificate ${subject}, which is used`)
  const now = new Date()
  const fault = notAfter < now ? `expired ${day(notAfter)}` : `is valid from ${day(notBefore)} on`
  if (notAfter < now || notBefore > now) {
    note(cli, `the certificate ${subject} ${fault}: verifiers refuse the image with it today`)
  }
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}

async function certificateOf(cli: Cli, choice: SignChoice): Promise<Buffer | undefined> {
  const { cert, certId } = choice
  if (cert !== undefined || certId === undefined)
    return await readOptional(cli, cert, 'certificate')
  return await withKeyManager(cli, choice, async (keyManager) => {
    const secret = await keyManager.fetch(certId)
    if (secret.type === 'certificate') return secret.payload.bytes()
    throw new VolsealError(
      'signature-malformed',
      `the secret ${certId}: expected type certificate, got ${secret.type}`,
    )
  })
}

function describe(result: SignResult): string {
  const { properties, saltLength, files } = result
  const salt = saltLength === null ? '' : `, salt ${saltLength}`
  const written = files === null ? ['nothing'] : Object.values(files)
  const facts = rows([
    [
      'signature',
      `${properties.img_signature_key_type}, ${properties.img_signature_hash_method}${salt}`,
    ],
    ['digest', result.digest],
    ['size', `${result.size} bytes`],
    ['wrote', written],
  ])
  return `signed ${result.image}\n${indent(facts)}`
}
