import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type { OpenCloud } from '../face/cloud.js'
import type { PublishOptions, PublishResult } from '../face/publish.js'
import type { SignerOptions } from '../face/sign.js'
import { type Cli, collect, type OptionGroup } from './cli.js'
import { keyValues } from './inputs.js'
import { type KeyManagerChoice, openNamedCloud } from './key-manager-options.js'
import { overMany } from './many.js'
import type { Outcome } from './output.js'
import type { Progress } from './progress.js'
import { indent, rows } from './text.js'

/** The options of `sign --publish`. */
export interface PublishChoice {
  readonly publish?: true | undefined
  readonly name?: string | undefined
  readonly diskFormat?: string | undefined
  readonly containerFormat?: string | undefined
  readonly visibility?: string | undefined
  readonly property?: string[] | undefined
  readonly volumeKeyId?: string | undefined
}

const DISK_FORMATS = ['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'ami', 'ari', 'aki']
const VISIBILITIES = ['private', 'shared', 'community', 'public']

export const PUBLISH_OPTIONS: OptionGroup<PublishChoice> = {
  options: [
    new Option('--publish', 'upload certificate and image, and read them back'),
    new Option('--name <name>', "with --publish: the image's name (default: that of its file)"),
    new Option(
      '--disk-format <format>',
      'with --publish: its format (default: what it is)',
    ).choices(DISK_FORMATS),
    new Option('--container-format <format>', 'with --publish: default bare').choices([
      'bare',
      'ami',
      'ari',
      'aki',
    ]),
    new Option('--visibility <who>', 'with --publish: who may see it').choices(VISIBILITIES),
    new Option('--property <key=value>', 'with --publish: a property; repeatable').argParser(
      collect,
    ),
    new Option(
      '--volume-key-id <id>',
      'with --publish: the image is a LUKS volume, and this its key, of which the image gets a copy',
    ),
  ],
}

/** @throws {VolsealError} `usage` for what goes with --publish alone, or with one image */
export function refuseUnclearPublishing(
  choice: PublishChoice &
    KeyManagerChoice & { readonly cert?: string | undefined; readonly certId?: string | undefined },
  images: readonly string[],
): void {
  const { publish, name, diskFormat, containerFormat, visibility, property, volumeKeyId } = choice
  const about = [name, diskFormat, containerFormat, visibility, property, volumeKeyId]
  const stray = about.some((value) => value !== undefined)
  if (publish === undefined && stray) {
    throw new VolsealError(
      'usage',
      '--name, --disk-format, --container-format, --visibility, --property and --volume-key-id go with --publish',
    )
  }
  if (publish === undefined) return
  if (name !== undefined && images.length > 1) {
    throw new VolsealError('usage', 'several images: --name is of one')
  }
  if (volumeKeyId !== undefined) refuseOtherThanRaw(choice, images)
  if (choice.keyManager === 'local') {
    throw new VolsealError(
      'usage',
      '--publish: the certificate goes to Barbican, not a local store',
    )
  }
  if ((choice.cert ?? choice.certId) === undefined) {
    throw new VolsealError('usage', '--publish: the certificate is to be published as well', {
      hint: 'give it with --cert FILE, or with --cert-id ID when it is in Barbican already',
    })
  }
}

/** cinder takes an encrypted image in no other form. */
function refuseOtherThanRaw(
  { diskFormat = 'raw', containerFormat = 'bare' }: PublishChoice,
  images: readonly string[],
): void {
  if (images.length > 1) {
    throw new VolsealError('usage', 'several images: --volume-key-id is of one')
  }
  if (diskFormat === 'raw' && containerFormat === 'bare') return
  throw new VolsealError(
    'usage',
    `--volume-key-id: expected an encrypted volume as raw and bare, got ${diskFormat} and ${containerFormat}`,
    { hint: 'leave out --disk-format and --container-format' },
  )
}

/** What is signed and published. */
export interface Publishing {
  readonly images: readonly string[]
  readonly signing: SignerOptions
  readonly choice: PublishChoice &
    KeyManagerChoice & { readonly out?: string | undefined; readonly json?: true | undefined }
}

/** Signs and publishes images, one after the other. */
export async function publishAll(
  cli: Cli,
  progress: Progress,
  publishing: Publishing,
): Promise<Outcome> {
  const { images, choice } = publishing
  const cloud = await openNamedCloud(cli, choice)
  try {
    return await overMany(
      cli,
      images,
      choice,
      async (image) => await publishOne(cli, cloud, progress, { ...publishing, image }),
    )
  } finally {
    await cloud.close()
  }
}

async function publishOne(
  { signal }: Cli,
  cloud: OpenCloud,
  progress: Progress,
  { image, signing, choice }: Publishing & { readonly image: string },
): Promise<Outcome> {
  const { out } = choice
  const { publishImage } = await import('../face/publish.js')
  const options: PublishOptions = {
    ...signing,
    image,
    cloud,
    // A stream has no place beside it.
    ...(image === '-' && out === undefined ? { write: false } : { out }),
    name: choice.name,
    diskFormat: choice.diskFormat,
    containerFormat: choice.containerFormat,
    visibility: choice.visibility,
    imageProperties: keyValues(choice.property ?? [], '--property'),
    volumeKeyId: choice.volumeKeyId,
    signal,
    onProgress: progress.phase('signing'),
    onUploadProgress: progress.phase('uploading'),
    onVerifyProgress: progress.phase('verifying'),
  }
  const result = await publishImage(options)
  return { body: result, text: describe(result) }
}

function describe(result: PublishResult): string {
  const { properties, saltLength, files, verification } = result
  const salt = saltLength === null ? '' : `, salt ${saltLength}`
  const { img_signature_key_type: type, img_signature_hash_method: hash } = properties
  const facts = rows([
    ['image', `${result.imageId} (${result.name}, ${result.diskFormat}, ${result.visibility})`],
    [
      'certificate',
      `${result.certificateId} (${result.certificateReused ? 'was there' : 'stored'})`,
    ],
    ['signature', `${type}, ${hash}${salt}`],
    ['digest', result.digest],
    ['size', `${result.size} bytes`],
    ['read back', `${verification.verdict}, as nova, cinder and glance verify`],
    ...keyRow(result),
    ...removedRow(result),
    ...(result.warnings.length === 0 ? [] : [['warning', result.warnings] as const]),
    ...(files === null ? [] : [['wrote', Object.values(files).join(', ')] as [string, string]]),
  ])
  return `published ${result.image}\n${indent(facts)}`
}

function keyRow({ encryptionKeyId: id }: PublishResult): [string, string][] {
  return id === null ? [] : [['volume key', `${id} (a copy, which goes with the image)`]]
}

function removedRow({ removed }: PublishResult): [string, string][] {
  return removed.length === 0 ? [] : [['removed', `${removed.join(', ')} (left half-made)`]]
}
