import type { KeyObject } from 'node:crypto'
import { Option } from '@commander-js/extra-typings'
import { readSmallFile } from '../core/byte-source.js'
import { readDescriptor } from '../core/descriptor.js'
import { VolsealError } from '../core/errors.js'
import { consume, type Secret } from '../core/secret.js'
import { type KeyFile, openKeyFile, PassphraseMissing } from '../face/keys.js'
import { askPassphrase, canAsk } from './ask-passphrase.js'
import { type Cli, type OptionGroup, wholeNumber } from './cli.js'
import { passphraseIn, readPassphrase } from './inputs.js'

/** Where the passphrase of a key comes from; a terminal is asked when nothing says it. */
export interface PassphraseChoice {
  readonly passphraseFile?: string | undefined
  /** `-` for 0, so that standard input is known to be taken. */
  readonly passphraseFd?: number | '-' | undefined
}

export const PASSPHRASE_OPTIONS: OptionGroup<PassphraseChoice> = {
  options: [
    new Option('--passphrase-file <file>', 'opens the key; - is stdin'),
    new Option('--passphrase-fd <n>', 'the same out of an open file descriptor').argParser(
      descriptor,
    ),
  ],
}

/** 1 and 2 are where we write to. */
function descriptor(value: string): number | '-' {
  const fd = wholeNumber('--passphrase-fd')(value)
  if (fd === 0) return '-'
  if (fd > 2) return fd
  throw new VolsealError('usage', `--passphrase-fd: expected 0 or a number from 3 on, got ${value}`)
}

/**
 * A private key out of a file, whose bytes are wiped. When it is encrypted and nothing says what opens
 * it, the terminal is asked, if there is one.
 */
export async function readKeyFile(
  cli: Cli,
  path: string,
  choice: PassphraseChoice,
): Promise<KeyObject> {
  return (await readKeyAndCertificate(cli, path, choice)).key
}

/** The same, with the key's certificate when the file is PKCS#12 and holds it. */
export async function readKeyAndCertificate(
  cli: Cli,
  path: string,
  choice: PassphraseChoice,
): Promise<KeyFile> {
  const passphrase = await givenPassphrase(cli, choice)
  const content = await readSmallFile(path, 'key', cli.signal)
  try {
    return await openOrAsk(cli, content, path, passphrase)
  } finally {
    content.fill(0)
    passphrase?.wipe()
  }
}

async function givenPassphrase(cli: Cli, choice: PassphraseChoice): Promise<Secret | undefined> {
  const { passphraseFile, passphraseFd } = choice
  if (passphraseFd === undefined) return await readPassphrase(cli, passphraseFile)
  if (passphraseFile !== undefined) {
    throw new VolsealError('usage', '--passphrase-file and --passphrase-fd exclude each other')
  }
  if (passphraseFd === '-' && !process.stdin.isTTY) return await readPassphrase(cli, '-')
  const fd = passphraseFd === '-' ? 0 : passphraseFd
  const content = await readDescriptor(fd, 'passphrase', cli.signal)
  return passphraseIn(content, `file descriptor ${fd}`)
}

async function openOrAsk(
  cli: Cli,
  content: Buffer,
  path: string,
  passphrase: Secret | undefined,
): Promise<KeyFile> {
  try {
    return await openKeyFile(content, passphrase, path)
  } catch (error) {
    if (!(error instanceof PassphraseMissing) || !canAsk(cli)) throw error
  }
  return await consume(
    await askPassphrase(cli, `passphrase of ${path}: `),
    async (typed) => await openKeyFile(content, typed, path),
  )
}
