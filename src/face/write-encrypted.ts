import { type FileHandle, open } from 'node:fs/promises'
import { pathOfFd } from '../core/command.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import {
  convertIntoLuks1,
  type Device,
  damagedHeader,
  effectiveCipher,
  examineContent,
  formatVolume,
  type JudgedHeader,
  judgeHeader,
  openExclusively,
  type Provider,
  testPassphrase,
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
  /** Called once before a LUKS header is formatted over. */
  readonly beforeChange: () => Promise<void>
}

/** Formats or opens the volume and writes the verified image into it. */
export async function writeEncrypted(writing: EncryptedWriting): Promise<Encrypted> {
  const { encrypt, device, held, found, way } = writing
  const key = await fetchVolumeKey(encrypt)
  try {
    const { header, formatted } = await volumeFor(writing, key)
    requireRoom(device.path, header.payloadSize, contentSize(held, found), 'the volume on ')
    await explainPartial(`the volume on ${device.path}`, async () => {
      if (way === 'qemu') await throughQemu(writing, key.passphrase)
      else await throughKernel(writing, header, key.passphrase)
    })
    return {
      provider: encrypt.provider,
      keyId: encrypt.keyId,
      formatted,
      way,
      uuid: header.uuid,
      effectiveCipher: effectiveCipher(header),
    }
  } finally {
    key.passphrase.wipe()
  }
}

async function volumeFor(
  writing: EncryptedWriting,
  key: VolumeKey,
): Promise<{ header: JudgedHeader; formatted: boolean }> {
  const { device, encrypt, force, signal, beforeChange } = writing
  const { passphrase } = key
  const content = await lookInside(device, examineContent)
  if (content.kind === 'luks-damaged') throw damagedHeader(device, content.what)
  const formatted = content.kind !== 'luks' || force !== undefined
  if (formatted) {
    const plan = await formatPlan(encrypt, key)
    await formatVolume({ device, plan, passphrase, force, signal, beforeChange })
  } else {
    requireProvider(device, encrypt.provider, content.version)
  }
  const { provider, cipher, keySize } = encrypt
  const header = await lookInside(
    device,
    async (file) => await judgeHeader(file, device, { provider, cipher, keySize }),
  )
  if (!formatted) await testPassphrase({ device, header, passphrase, signal })
  return { header, formatted }
}

async function lookInside<T>(
  device: Device,
  look: (file: FileHandle, device: Device) => Promise<T>,
): Promise<T> {
  const file = await openExclusively(device)
  try {
    return await look(file, device)
  } finally {
    await file.close()
  }
}

function requireProvider(device: Device, provider: Provider, version: 1 | 2): void {
  const found = version === 1 ? 'luks' : 'luks2'
  if (found === provider) return
  throw new VolsealError(
    'header-damaged',
    `${device.path}: expected a ${provider} volume, got ${found} (LUKS${version} on disk)`,
    { hint: `to write into it: --encrypt ${found}` },
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

async function throughKernel(
  writing: EncryptedWriting,
  header: JudgedHeader,
  passphrase: Secret,
): Promise<void> {
  const { device, held, found, signal } = writing
  await withMapping({ device, header, passphrase, signal }, async (path) => {
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
