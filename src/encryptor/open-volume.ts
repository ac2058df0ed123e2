import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { PassOptions } from '../core/byte-source.js'
import { hasCommand, lastLine, runCommand } from '../core/command.js'
import { VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import { withSecretPipe } from '../core/secret-pipe.js'
import { closeMapping } from './close-mapping.js'
import { cryptsetup, openArgs, type Provider, testArgs } from './cryptsetup.js'
import type { Device } from './device.js'
import { withHeader } from './header/header-copy.js'
import type { JudgedHeader } from './header/judge-header.js'
import { requireUdev, WITHOUT_UDEV, whileUdevAnswers } from './udev.js'

/**
 * The ways into an encrypted volume: `dm-crypt`, the kernel's, needs root and device-mapper; `qemu`
 * writes LUKS1 volumes without either, in userspace.
 */
export type Way = 'dm-crypt' | 'qemu'

/**
 * Chooses how a volume can be written on this machine.
 *
 * @throws {VolsealError} `no-device` when there is no way, with what is missing
 */
export async function chooseWay(provider: Provider): Promise<Way> {
  await requireCryptsetup()
  if (await hasDeviceMapper()) return 'dm-crypt'
  if (provider === 'luks' && (await hasCommand('qemu-img'))) return 'qemu'
  throw new VolsealError(
    'no-device',
    `a ${provider} volume cannot be written here: device-mapper is not available (it needs root and the kernel module dm-crypt)`,
    {
      hint:
        provider === 'luks'
          ? 'or install qemu-utils, whose qemu-img writes LUKS1 volumes without root'
          : 'or use --encrypt luks, which qemu-img writes without root',
    },
  )
}

/**
 * Proves that the passphrase opens the volume whose header was judged.
 *
 * @throws {VolsealError} `wrong-key`
 */
export async function testPassphrase(opening: Opening): Promise<void> {
  const { device, header, passphrase, signal } = opening
  await withHeader(header, async (path) => {
    const args = testArgs(device.realPath, path)
    await cryptsetup(args, `cannot open ${device.path}`, { passphrase, signal })
  })
}

/** @throws {VolsealError} `no-device` */
export async function requireCryptsetup(): Promise<void> {
  if (await hasCommand('cryptsetup')) return
  throw new VolsealError('no-device', 'volumes cannot be encrypted here: cryptsetup is missing', {
    hint: 'on Debian: apt install cryptsetup-bin',
  })
}

/** @throws {VolsealError} `unavailable` when a program that some work needs is not there */
export async function requireCommandFor(file: string, work: string): Promise<void> {
  if (await hasCommand(file)) return
  throw new VolsealError('unavailable', `${work} needs ${file}, which is not installed`, {
    hint: 'on Debian: apt install qemu-utils',
  })
}

async function hasDeviceMapper(): Promise<boolean> {
  try {
    const control = await open('/dev/mapper/control', constants.O_RDWR)
    await control.close()
    return process.getuid?.() === 0
  } catch {
    return false
  }
}

export interface Opening {
  readonly device: Device
  /** Of that device. */
  readonly header: JudgedHeader
  readonly passphrase: Secret
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens a volume with the header that was judged, runs `use` with the mapping's path, and closes it
 * whatever happens.
 */
export async function withMapping<T>(
  { device, header, passphrase, signal }: Opening,
  use: (path: string) => Promise<T>,
): Promise<T> {
  await requireUdev(device)
  const mapping = `volseal-${randomBytes(6).toString('hex')}`
  let isOpen = false
  try {
    // Interrupted in the middle, it may have made the mapping already.
    await withHeader(header, async (path) => {
      const args = openArgs(device.realPath, mapping, path)
      const what = `cannot open ${device.path}`
      await whileUdevAnswers(device, signal, async (until) => {
        await cryptsetup(args, what, { passphrase, signal: until })
      })
    })
    isOpen = true
    return await use(`/dev/mapper/${mapping}`)
  } finally {
    await closeMapping(mapping, isOpen ? undefined : WITHOUT_UDEV)
  }
}

export interface Conversion {
  /** File that qemu-img reads: verified bytes that nobody else can change. */
  readonly source: string
  /** qemu's name of its format. */
  readonly format: string
  readonly target: { readonly path: string; readonly kind: Device['kind'] }
  /** How errors call the target. */
  readonly name: string
  /** Bytes of its content. */
  readonly size: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: PassOptions['onProgress']
}

/** Writes an image's content into a device that exists, through qemu-img. */
export async function convertImage(conversion: Conversion): Promise<void> {
  await runConvert(conversion, `driver=raw,${targetFile(conversion)}`)
}

/** The same into a LUKS1 volume; the passphrase goes through a pipe. */
export async function convertIntoLuks1(conversion: Conversion, passphrase: Secret): Promise<void> {
  await withSecretPipe(passphrase, async (pipe) => {
    const secret = ['--object', `secret,id=volume,format=raw,file=${escape(pipe)}`]
    const target = `driver=luks,key-secret=volume,${targetFile(conversion)}`
    await runConvert(conversion, target, secret)
  })
}

/**
 * `-n`: the target exists, and its zeros must be written too. `-t writeback`: the default, unsafe,
 * does not flush.
 */
async function runConvert(
  conversion: Conversion,
  target: string,
  objects: readonly string[] = [],
): Promise<void> {
  const file = { driver: 'file', filename: conversion.source, locking: 'off' }
  const source = `driver=${conversion.format},${prefixed('file', file)}`
  const options = ['-p', '-n', '-t', 'writeback', ...objects, '--image-opts', '--target-image-opts']
  const result = await runCommand('qemu-img', ['convert', ...options, source, target], {
    signal: conversion.signal,
    timeoutMs: 0,
    onOutput: (text) => tellProgress(text, conversion),
  })
  if (result.exitCode === 0) return
  throw new VolsealError('io', `cannot write ${conversion.name}: ${lastLine(result)}`)
}

/** `qemu-img -p` prints `    (12.34/100%)` and a carriage return, again and again. */
function tellProgress(text: string, { size, onProgress }: Conversion): void {
  const percent = [...text.matchAll(/\((\d+\.\d+)\/100%\)/g)].at(-1)?.[1]
  if (percent !== undefined) onProgress?.(Math.round((Number(percent) / 100) * size), size)
}

function targetFile({ target: { path, kind } }: Conversion): string {
  return prefixed('file', { driver: kind === 'block' ? 'host_device' : 'file', filename: path })
}

function prefixed(prefix: string, options: Readonly<Record<string, string>>): string {
  return Object.entries(options)
    .map(([key, value]) => `${prefix}.${key}=${escape(value)}`)
    .join(',')
}

/** In qemu's option strings a comma is doubled (qemu(1), "Standard options"). */
function escape(value: string): string {
  return value.replaceAll(',', ',,')
}
