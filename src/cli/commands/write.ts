import { Option } from '@commander-js/extra-typings'
import { asError, hinting, VolsealError } from '../../core/errors.js'
import type { KeepHeader } from '../../face/automatic-backup.js'
import type { StoredImage } from '../../face/glance-image.js'
import type { KeyManager, SecretSource } from '../../face/key-store.js'
import type { VolumeOptions } from '../../face/volume-key.js'
import {
  type SealedWith,
  type WriteOptions,
  type WriteResult,
  writeImage,
} from '../../face/write.js'
import type { WriteRecordedResult } from '../../face/write-recorded.js'
import {
  type BackupChoice,
  backupDirectory,
  KEEP_OPTIONS,
  refuseIdleKeeping,
  tellBackup,
} from '../backup-options.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  progressOption,
  withProgress,
} from '../cli.js'
import {
  KEY_MANAGER_OPTIONS,
  type KeyManagerChoice,
  type LazyCloud,
  withLazyKeyManager,
} from '../key-manager-options.js'
import { readPolicyOption } from '../policy-options.js'
import type { ProgressStyle } from '../progress.js'
import { indent, rows } from '../text.js'
import { judgeOptions, VERIFY_OPTIONS, type VerifyChoice } from '../verify-options.js'
import {
  givenVolumeOption,
  VOLUME_OPTIONS,
  type VolumeChoice,
  volumeOptions,
} from '../volume-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('write', {
      summary: 'verify an image, then write its content into a file, device or encrypted volume',
      example: 'volseal write image.raw disk.raw --cert cert.pem',
      exitCodes: [
        'usage',
        'signature-mismatch',
        'unsigned',
        'signature-malformed',
        'certificate-untrusted',
        'image-unsafe',
        'unchecked',
        'signature-incompatible',
        'policy-refused',
        'wrong-key',
        'not-blank',
        'busy',
        'no-device',
        'header-damaged',
        'too-small',
        'forbidden',
        'not-found',
        'unavailable',
        'keystore-damaged',
        'io',
        'interrupted',
      ],
    })
      .argument('<image>', 'image file; - is stdin, glance:ID an image in Glance')
      .argument('<target>', 'file (made when not there), block device, or what holds the volume')
      .option('--source-format <format>', 'what the image is: raw (default), qcow2, vmdk, vhd, …')
      .addOption(
        new Option(
          '--encrypt <provider>',
          'write into a LUKS volume; a blank target is formatted',
        ).choices(['luks', 'luks2'] as const),
      )
      .option('--set-volume-metadata <volume>', "the target's volume in cinder: record the verdict")
      .option('--key-id <id>', "with --encrypt: the volume's key in the key manager")
      .option(
        '--force <name>',
        "the target's base name again: to lose a LUKS volume, or with --encrypt any data",
      ),
    VERIFY_OPTIONS,
    VOLUME_OPTIONS,
    KEEP_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(
      act(cli, 'write', async (image, target, options) => {
        const result = await write(cli, image, target, options)
        tellBackup(cli, result.replaced)
        return { body: result, text: describe(result) }
      }),
    )

type KeepChoice = Omit<BackupChoice, 'keep'>

interface WriteChoice extends VerifyChoice, VolumeChoice, KeyManagerChoice, KeepChoice {
  readonly sourceFormat?: string | undefined
  readonly encrypt?: 'luks' | 'luks2' | undefined
  readonly keyId?: string | undefined
  readonly force?: string | undefined
  readonly setVolumeMetadata?: string | undefined
  readonly progress: ProgressStyle
}

async function write(
  cli: Cli,
  image: string,
  target: string,
  choice: WriteChoice,
): Promise<WriteResult> {
  if (target === '-') {
    throw new VolsealError('usage', 'the target: expected a file or device, got standard output', {
      hint: 'a file of that name is ./-',
    })
  }
  const policy = await readPolicyOption(cli, choice)
  return await withProgress(
    cli,
    choice.progress,
    async (progress) =>
      await withLazyKeyManager(cli, choice, async (secrets, cloud, keyManager) => {
        const judged = await judgeOptions(cli, image, choice, { secrets, cloud, policy })
        const { stored } = judged
        return await writeOrRecord(choice, cloud, stored, {
          ...judged,
          target,
          encrypt: encryption(choice, secrets),
          sealedWith: await sealing(choice, stored, cloud),
          sourceFormat: claimOf(choice, stored),
          force: choice.force,
          keepHeader: keeping(cli, choice, keyManager),
          signal: cli.signal,
          onProgress: progress.phase('verifying'),
          onWriteProgress: progress.phase('writing'),
        })
      }),
  )
}

async function writeOrRecord(
  { setVolumeMetadata: volumeId }: WriteChoice,
  cloud: LazyCloud,
  stored: StoredImage | undefined,
  options: WriteOptions,
): Promise<WriteResult | WriteRecordedResult> {
  if (volumeId === undefined) return await writeImage(options)
  const { writeRecorded } = await import('../../face/write-recorded.js')
  const { cinder } = await cloud()
  return await writeRecorded({ ...options, cinder, volumeId, described: stored?.described })
}

/** What the image says that it is: in Glance, others say it too, and believe it. */
function claimOf(
  { sourceFormat }: WriteChoice,
  stored: StoredImage | undefined,
): string | undefined {
  if (stored === undefined) return sourceFormat
  const claim = stored.sourceFormat
  if (sourceFormat === undefined || sourceFormat === claim) return claim
  throw new VolsealError(
    'usage',
    `--source-format ${sourceFormat}: expected what Glance says of the image, ${claim}`,
    { hint: 'leave it out, or correct the image with: openstack image set --disk-format' },
  )
}

function encryption(choice: WriteChoice, keyManager: SecretSource): VolumeOptions | undefined {
  const { encrypt, keyId } = choice
  const stray = encrypt === undefined ? givenVolumeOption(choice) : undefined
  if (stray !== undefined) throw new VolsealError('usage', `${stray} goes with --encrypt`)
  if (encrypt === undefined && keyId === undefined) return undefined
  if (encrypt === undefined || keyId === undefined) {
    throw new VolsealError('usage', '--encrypt and --key-id are needed together')
  }
  return volumeOptions(choice, { provider: encrypt, keyId, keyManager })
}

/** Without force, no header is written over. */
function keeping(
  cli: Cli,
  choice: WriteChoice,
  keyManager: () => Promise<KeyManager>,
): KeepHeader | undefined {
  refuseIdleKeeping(choice)
  if (choice.force === undefined || !choice.backup) return undefined
  return async () => ({
    directory: await backupDirectory(cli, choice),
    keyManager: await keyManager().catch((error: unknown) => {
      throw hinting(asError(error), 'or lose its header for good: --no-backup')
    }),
  })
}

/** An encrypted image of Glance names its key. */
async function sealing(
  { encrypt, setVolumeMetadata }: WriteChoice,
  stored: StoredImage | undefined,
  cloud: LazyCloud,
): Promise<SealedWith | undefined> {
  if (stored === undefined) return undefined
  const { imageKeyOf } = await import('../../face/encrypted-image.js')
  const key = imageKeyOf(stored.described)
  if (key === undefined) return undefined
  if (setVolumeMetadata !== undefined) {
    throw new VolsealError(
      'usage',
      `--set-volume-metadata: the image ${stored.imageId} is encrypted, and cinder has no call that tells it the key of a volume`,
      { hint: 'leave it out, or have cinder make the volume: openstack volume create --image' },
    )
  }
  if (encrypt === undefined) return { keyId: key.id, keyManager: (await cloud()).keyManager }
  throw new VolsealError(
    'usage',
    `--encrypt: the image ${stored.imageId} is an encrypted volume itself`,
    { hint: 'leave out --encrypt: it is written as it is, and the target gets a copy of its key' },
  )
}

function describe(result: WriteResult | WriteRecordedResult): string {
  const { encrypted, verification } = result
  const { policy } = verification
  const verdict = result.signatureVerified ? 'signature accepted' : 'not verified'
  const byPolicy = policy === null ? '' : `, policy ${policy.rule} (signature ${policy.signature})`
  const facts = rows([
    ['target', result.target],
    ['content', `${result.bytesWritten} bytes (${result.format})`],
    ['digest', `${verification.hash} ${result.digest}, ${verdict}${byPolicy}`],
    ['volume', encrypted === null ? sealedLine(result) : volumeLine(encrypted)],
    ...recordedRow(result),
  ])
  return `wrote ${result.image}\n${indent(facts)}`
}

function recordedRow(result: WriteResult | WriteRecordedResult): [string, string][] {
  if (!('volumeMetadata' in result)) return []
  const { volumeId, volumeMetadata } = result
  return [
    [
      'cinder',
      `${volumeId}: signature_verified ${volumeMetadata['signature_verified'] ?? 'not set'}`,
    ],
  ]
}

function sealedLine({ encryptionKeyId: id }: WriteResult): string {
  return id === null ? 'not encrypted' : `encrypted as the image was; its key is a copy, ${id}`
}

function volumeLine(encrypted: NonNullable<WriteResult['encrypted']>): string {
  const { provider, effectiveCipher, way, formatted, uuid } = encrypted
  return `${provider}, ${effectiveCipher}, ${formatted ? 'formatted' : 'opened'} through ${way}, uuid ${uuid}`
}
