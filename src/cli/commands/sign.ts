import { basename } from 'node:path'
import { Option } from '@commander-js/extra-typings'
import { HASH_METHODS } from '../../core/algorithms.js'
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
import { PASSPHRASE_OPTIONS, type PassphraseChoice, readKeyAndCertificate } from '../key-file.js'
import {
  KEY_MANAGER_OPTIONS,
  type KeyManagerChoice,
  withKeyManager,
} from '../key-manager-options.js'
import { overMany } from '../many.js'
import type { ProgressStyle } from '../progress.js'
import { SIGNER_OPTIONS, type SignerChoice, signerCommand } from '../signer-command.js'
import { indent, rows } from '../text.js'

const HASHES = HASH_METHODS.map(({ name }) => name)

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('sign', {
      summary: 'sign images for Glance: IMAGE.signature, .signature.b64 and .signature.json',
      example: 'volseal sign image.raw --key key.pem --cert cert.pem',
      exitCodes: [
        'usage',
        'signature-malformed',
        'signature-incompatible',
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
      .addOption(
        new Option('--hash <name>', 'hash method').choices(HASHES).default('SHA-256' as const),
      )
      .option('--out <dir>', 'directory for the signature files, made if need be'),
    PASSPHRASE_OPTIONS,
    SIGNER_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(act(cli, 'sign', async (images, options) => await signAll(cli, images, options)))

interface SignChoice extends KeyManagerChoice, PassphraseChoice, SignerChoice {
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
  refuseSameNames(images, choice)
  const common = await readCommon(cli, choice)
  let signed = 0
  const outcome = await withProgress(
    cli,
    choice.progress,
    async (progress) =>
      await overMany(cli, images, choice, async (image) => {
        if (image === '-' && choice.out === undefined) {
          throw new VolsealError('usage', 'standard input: --out says where its signature goes')
        }
        const result = await signImage({ ...common, image, onProgress: progress.phase('signing') })
        signed += 1
        return { body: result, text: describe(result) }
      }),
  )
  if (signed > 0 && choice.certId === undefined) note(cli, WITHOUT_ID)
  return outcome
}

/** The key is in a file, or somewhere else: what belongs to the one says nothing of the other. */
function refuseUnclearKey(choice: SignChoice): void {
  const { key, signer, passphraseFile, passphraseFd } = choice
  if ((key === undefined) === (signer === undefined)) {
    throw new VolsealError('usage', 'one of --key and --signer is needed, and not both')
  }
  const ofSigner = choice.signerKeyId ?? choice.signerTimeout ?? choice.publicKey
  if (signer === undefined && ofSigner !== undefined) {
    throw new VolsealError(
      'usage',
      '--signer-key-id, --signer-timeout and --public-key go with --signer',
    )
  }
  if (signer !== undefined && (choice.cert ?? choice.certId ?? choice.publicKey) === undefined) {
    throw new VolsealError('usage', "--signer: the signer's public key is not known", {
      hint: 'give its certificate (--cert or --cert-id), or --public-key',
    })
  }
  if (signer !== undefined && (passphraseFile ?? passphraseFd) !== undefined) {
    throw new VolsealError('usage', '--passphrase-file and --passphrase-fd go with --key')
  }
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
  const certificate = await certificateOf(cli, choice)
  const used = certificate ?? inFile
  if (used === undefined) {
    note(cli, 'no certificate is named, so nobody has checked that one fits the key')
  } else {
    noteCertificate(cli, used, choice, certificate === undefined)
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

type KeyChoice = Pick<
  SignOptions,
  'key' | 'signer' | 'publicKey' | 'publicKeyName' | 'signerKeyId' | 'certificate'
>

async function keyOf(cli: Cli, choice: SignChoice): Promise<KeyChoice> {
  const { key, signer } = choice
  if (key !== undefined) return await readKeyAndCertificate(cli, key, choice)
  if (signer === undefined) return {}
  return {
    signer: await signerCommand(cli, signer, choice.signerTimeout),
    publicKey: await readOptional(cli, choice.publicKey, 'public key'),
    publicKeyName: labelOf(choice.publicKey),
    signerKeyId: choice.signerKeyId,
  }
}

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
    const secret = await keyManager.get(certId)
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
  const written = files === null ? 'nothing' : Object.values(files).join('\n')
  const facts = rows([
    [
      'signature',
      `${properties.img_signature_key_type}, ${properties.img_signature_hash_method}${salt}`,
    ],
    ['digest', result.digest],
    ['size', `${result.size} bytes`],
    ['wrote', written.replaceAll('\n', `\n${' '.repeat(11)}`)],
  ])
  return `signed ${result.image}\n${indent(facts)}`
}
