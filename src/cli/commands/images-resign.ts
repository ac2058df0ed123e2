import { VolsealError } from '../../core/errors.js'
import type { OpenCloud } from '../../face/cloud.js'
import { type ResignResult, resignImage } from '../../face/resign.js'
import type { SignerOptions } from '../../face/sign.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  progressOption,
  wholeDays,
  withProgress,
} from '../cli.js'
import { readOptional } from '../inputs.js'
import { PASSPHRASE_OPTIONS } from '../key-file.js'
import { CLOUD_OPTIONS, type CloudChoice, openNamedCloud } from '../key-manager-options.js'
import { overMany } from '../many.js'
import type { Outcome } from '../output.js'
import type { Progress, ProgressStyle } from '../progress.js'
import { keyOf, refuseUnclearKey, SIGNING_OPTIONS, type SigningKeyChoice } from '../signing-key.js'
import { indent, rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('resign', {
      summary: 'sign images that are in Glance, such as snapshots; replaces their signatures',
      example: 'volseal images resign "$IMAGE_ID" --key key.pem --cert cert.pem --os-cloud ops',
      exitCodes: [
        'usage',
        'signature-mismatch',
        'signature-malformed',
        'signature-incompatible',
        'image-unsafe',
        'unchecked',
        'busy',
        'forbidden',
        'not-found',
        'unavailable',
        'incomplete',
        'io',
        'interrupted',
      ],
    })
      .argument('[image...]', "the images' ids in Glance; glance:ID is the same")
      .option(
        '--expiring <days>',
        "instead: all of the project's whose certificate ends within so many days (30, or 30d)",
        wholeDays('--expiring'),
      )
      .option('--key <file>', 'private key: PKCS#8, PKCS#1, EC, DSA or PKCS#12')
      .option('--cert <file>', "the key's certificate; stored in Barbican unless it is there")
      .option('--cert-id <id>', 'the same by its id in Barbican'),
    PASSPHRASE_OPTIONS,
    SIGNING_OPTIONS,
    CLOUD_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(
      act(cli, 'images-resign', async (images, options) => await resignAll(cli, images, options)),
    )

interface ResignChoice extends SigningKeyChoice, CloudChoice {
  readonly hash: SignerOptions['hash']
  readonly expiring?: number | undefined
  readonly progress: ProgressStyle
  readonly json?: true | undefined
}

async function resignAll(
  cli: Cli,
  images: readonly string[],
  choice: ResignChoice,
): Promise<Outcome> {
  refuseUnclearKey(choice)
  if ((choice.expiring === undefined) === (images.length === 0)) {
    throw new VolsealError('usage', 'which images? expected their ids, or --expiring DAYS', {
      hint: 'volseal images list shows them',
    })
  }
  const { cert, certId, hash } = choice
  const { certificate: inFile, ...key } = await keyOf(cli, choice)
  const isNamed = (cert ?? certId) !== undefined
  const certificate = isNamed ? await readOptional(cli, cert, 'certificate') : inFile
  if (!isNamed && certificate === undefined) {
    throw new VolsealError('usage', 'the certificate of the key is needed: --cert or --cert-id')
  }
  const signing: SignerOptions = { ...key, hash, certificate, certificateId: certId }
  const cloud = await openNamedCloud(cli, choice)
  try {
    return await withProgress(cli, choice.progress, async (progress) => {
      const one = resigner(cli, cloud, progress, {
        signing,
        onlySigned: choice.expiring !== undefined,
      })
      const chosen = await chosenImages(cli, images, { cloud, signing, choice })
      const { json, expiring } = choice
      if (chosen.length > 0)
        return await overMany(cli, chosen, { json, list: expiring !== undefined }, one)
      const text = `no image of the project has a certificate that ends within ${expiring} days`
      return { body: { results: [] }, text }
    })
  } finally {
    await cloud.close()
  }
}

async function chosenImages(
  { signal }: Cli,
  images: readonly string[],
  { cloud, signing, choice }: { cloud: OpenCloud; signing: SignerOptions; choice: ResignChoice },
): Promise<readonly string[]> {
  const { expiring: days } = choice
  if (days === undefined) return images
  const { certificate, certificateId } = signing
  const { expiringImages } = await import('../../face/expiring-images.js')
  const found = await expiringImages({ cloud, days, certificate, certificateId, signal })
  return found.map(({ id }) => id)
}

/** The certificate that the first image brought to Barbican is that of all. */
function resigner(
  { signal }: Cli,
  cloud: OpenCloud,
  progress: Progress,
  { signing, onlySigned }: { readonly signing: SignerOptions; readonly onlySigned: boolean },
): (image: string) => Promise<Outcome> {
  let known: string | undefined
  return async (image) => {
    const { storedImageId } = await import('../../face/glance-image.js')
    const imageId = storedImageId(image)
    const result = await resignImage({
      ...signing,
      certificateId: known ?? signing.certificateId,
      onlySigned,
      cloud,
      imageId,
      signal,
      onProgress: progress.phase('signing'),
      onVerifyProgress: progress.phase('verifying'),
    })
    known = result.certificateId
    return { body: result, text: describe(result) }
  }
}

function describe(result: ResignResult): string {
  const { properties, saltLength, replaced, verification, warnings } = result
  const salt = saltLength === null ? '' : `, salt ${saltLength}`
  const { img_signature_key_type: type, img_signature_hash_method: hash } = properties
  const facts = rows([
    ['name', result.name ?? 'none'],
    [
      'certificate',
      `${result.certificateId} (${result.certificateReused ? 'was there' : 'stored'})`,
    ],
    ['signature', `${type}, ${hash}${salt}`],
    ['before', Object.keys(replaced).length === 0 ? 'not signed' : 'signed; replaced'],
    ['digest', result.digest],
    ['size', `${result.size} bytes`],
    ['read back', `${verification.verdict}, as nova, cinder and glance verify`],
    ...(warnings.length === 0 ? [] : [['warning', warnings] as const]),
  ])
  return `signed ${result.imageId}\n${indent(facts)}`
}
