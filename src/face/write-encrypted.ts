import { open } from 'node:fs/promises'
import { pathOfFd } from '../core/command.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import {
  type Content,
  convertIntoLuks1,
  cryptsetup,
  type Device,
  damagedHeader,
  examineContent,
  formatVolume,
  inspectVolume,
  openExclusively,
  testArgs,
  type VolumeReport,
  type Way,
  withMapping,
} from '../encryptor/index.js'
import { type ImageReport, QEMU_NAMES } from '../inspect/index.js'
import type { HeldImage } from '../verify/index.js'
import { fetchVolumeKey, formatPlan, type VolumeKey, type VolumeOptions } from './volume-key.js'
import {
  contentSize,
  explainPartial,
  requireRoom,
  type WriteWatch,
  writeContent,
} from './write-content.js'

/** How the volume was come by. */
export interface Encrypted {
  readonly provider: VolumeOptions['provider']
  readonly keyId: string
  /** False when the volume was there already. */
  readonly formatted: boolean
  /** `dm-crypt` through the kernel, `qemu` in userspace. */
  readonly way: Way
  readonly uuid: string
  readonly effectiveCipher: string
}

export interface EncryptedWriting extends WriteWatch {
  readonly device: Device
  readonly way: Way
  readonly encrypt: VolumeOptions
  readonly held: HeldImage
  readonly found: ImageReport
  readonly target: string
  readonly force?: string | undefined
}

/** Formats or opens the volume and writes the verified image into it. */
export async function writeEncrypted(writing: EncryptedWriting): Promise<Encrypted> {
  const { encrypt, device, held, found, way } = writing
  const key = await fetchVolumeKey(encrypt)
  try {
    const { volume, formatted } = await volumeFor(writing, key)
    requireRoom(device.path, volume.payloadSize, contentSize(held, found), 'the volume on ')
    await explainPartial(`the volume on ${device.path}`, async () => {
      if (way === 'qemu') await throughQemu(writing, key.passphrase)
      else await throughKernel(writing, key.passphrase)
    })
    const { uuid, effectiveCipher } = volume
    return {
      provider: encrypt.provider,
      keyId: encrypt.keyId,
      formatted,
      way,
      uuid,
      effectiveCipher,
    }
  } finally {
    key.passphrase.wipe()
  }
}

async function volumeFor(
  writing: EncryptedWriting,
  key: VolumeKey,
): Promise<{ volume: VolumeReport; formatted: boolean }> {
  const { device, encrypt, force, signal } = writing
  const content = await contentOf(device)
  if (content.kind === 'luks-damaged') throw damagedHeader(device, content.what)
  if (content.kind === 'luks' && force === undefined) {
    return { volume: await openable(writing, key.passphrase, content.version), formatted: false }
  }
  const plan = formatPlan(encrypt, key)
  const { passphrase } = key
  return {
    volume: await formatVolume({ device, plan, passphrase, force, signal }),
    formatted: true,
  }
}

async function contentOf(device: Device): Promise<Content> {
  const file = await openExclusively(device)
  try {
    return await examineContent(file, device)
  } finally {
    await file.close()
  }
}

/** A volume that is there: of the right kind, and the key opens it. */
async function openable(
  { device, encrypt, signal }: EncryptedWriting,
  passphrase: Secret,
  version: 1 | 2,
): Promise<VolumeReport> {
  const found = version === 1 ? 'luks' : 'luks2'
  if (found !== encrypt.provider) {
    throw new VolsealError(
      'header-damaged',
      `${device.path}: expected a ${encrypt.provider} volume, got ${found} (LUKS${version} on disk)`,
      { hint: `to write into it: --encrypt ${found}` },
    )
  }
  const volume = await inspectVolume(device.path)
  refuseForged(volume)
  await cryptsetup(testArgs(device.realPath), `cannot open ${device.path}`, { passphrase, signal })
  return volume
}

/**
 * A LUKS2 header is only checksummed: who can write to the storage can make it say that the content
 * is not encrypted at all, and the right key still opens it (CVE-2025-59054, CVE-2025-58356).
 */
function refuseForged({ device, cipher, plain }: VolumeReport): void {
  if (!plain) return
  throw new VolsealError(
    'header-damaged',
    `${device}: expected an encrypted volume, but its header says ${cipher} or has parts that are not encrypted`,
    { hint: 'nothing was written; somebody may have forged the header' },
  )
}

async function throughQemu(writing: EncryptedWriting, passphrase: Secret): Promise<void> {
  const { held, found, device, signal } = writing
  const format = QEMU_NAMES[found.format] ?? 'raw'
  if (held.path === undefined)
    throw new VolsealError('internal', 'the image is held without a copy')
  const file = await openExclusively(device)
  try {
    const target = { path: pathOfFd(file.fd), kind: device.kind }
    const size = contentSize(held, found)
    const watch = { signal, onProgress: writing.onWriteProgress }
    const conversion = { source: held.path, format, target, name: device.path, size, ...watch }
    await convertIntoLuks1(conversion, passphrase)
    await file.sync()
  } catch (error) {
    throw fromSystem(error, `cannot write ${device.path}`)
  } finally {
    await file.close()
  }
}

async function throughKernel(writing: EncryptedWriting, passphrase: Secret): Promise<void> {
  const { device, held, found, signal } = writing
  await withMapping(device, passphrase, signal, async (path) => {
    const file = await open(path, 'r+')
    try {
      await writeContent(held, found, { file, path, kind: 'block' }, writing)
    } finally {
      await file.close()
    }
  })
  await flush(device)
}

async function flush(device: Device): Promise<void> {
  try {
    const file = await open(device.realPath, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fromSystem(error, `cannot flush ${device.path}`)
  }
}
