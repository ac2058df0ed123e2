import { Option } from '@commander-js/extra-typings'
import { type CommandResult, lastLine, runCommand } from '../core/command.js'
import { VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import type { DigestSigner } from '../face/sign.js'
import { type Cli, type OptionGroup, wholeNumber } from './cli.js'
import { findProgram } from './find-program.js'
import { printTalk } from './output.js'

/** Seconds that a signer has when `--signer-timeout` does not say: some wait for a person's touch. */
export const SIGNER_SECONDS = 60

/** A key that is somewhere else, and the program that signs with it. */
export interface SignerChoice {
  readonly signer?: string | undefined
  readonly signerKeyId?: string | undefined
  readonly signerTimeout?: number | undefined
  readonly publicKey?: string | undefined
}

export const SIGNER_OPTIONS: OptionGroup<SignerChoice> = {
  options: [
    new Option('--signer <program>', 'signs digests in place of --key: docs/signers.md'),
    new Option('--signer-key-id <id>', 'with --signer: which key it is to take'),
    new Option(
      '--signer-timeout <seconds>',
      `with --signer: how long it may take (default ${SIGNER_SECONDS})`,
    ).argParser(seconds),
    new Option('--public-key <file>', "with --signer: the key's public half, without --cert"),
  ],
}

/** A day at most: JavaScript's timers do not count on for ever. */
const MOST_SECONDS = 86_400

function seconds(value: string): number {
  const found = wholeNumber('--signer-timeout')(value)
  if (found > 0 && found <= MOST_SECONDS) return found
  throw new VolsealError(
    'usage',
    `--signer-timeout: expected 1 to ${MOST_SECONDS} seconds, got ${value}`,
  )
}

/** A signature of the largest RSA key is 2732 characters of base64. */
const MOST_OUTPUT = 65_536

/**
 * A program that signs: it gets the request as one line of JSON on standard input, and prints the
 * signature in base64; what it says on standard error is passed on. It is started without a shell and
 * without arguments, once for each image; when its time is up, or ours, it is ended with what it has
 * started. What it leaves in the background when it ends by itself is neither waited for nor ended.
 *
 * @throws {VolsealError} `usage`
 */
export async function signerCommand(
  cli: Cli,
  program: string,
  limit: number = SIGNER_SECONDS,
): Promise<DigestSigner> {
  const path = await findProgram(cli, program, '--signer')
  return async (request, { signal }) => {
    const began = performance.now()
    const result = await runCommand(path, [], {
      input: new Secret(Buffer.from(`${JSON.stringify(request)}\n`)),
      signal,
      timeoutMs: limit * 1000,
      withChildren: true,
      mostOutput: MOST_OUTPUT,
      onTalk: (text) => printTalk(cli.streams, text),
    }).catch((error: unknown) => {
      throw performance.now() - began < limit * 1000 ? error : tooLate(program, limit, error)
    })
    if (result.exitCode === 0) return signatureOf(program, result)
    throw new VolsealError('unavailable', `the signer ${program} failed: ${lastLine(result)}`)
  }
}

function tooLate(program: string, limit: number, cause: unknown): unknown {
  if (!(cause instanceof VolsealError) || cause.code !== 'unavailable') return cause
  return new VolsealError('unavailable', `the signer ${program} took longer than ${limit} s`, {
    hint: 'it was ended; --signer-timeout gives it more time',
    cause,
  })
}

/** Line breaks are no mistake: most programs that print base64 wrap it. */
function signatureOf(program: string, { stdout }: CommandResult): Buffer {
  const text = stdout.replaceAll(/\s/g, '')
  if (text !== '' && /^[A-Za-z0-9+/]+={0,2}$/.test(text)) return Buffer.from(text, 'base64')
  const got = text === '' ? 'nothing' : `${stdout.length} characters that are not`
  throw new VolsealError(
    'signature-malformed',
    `the signer ${program}: expected the signature in base64, got ${got}`,
    { hint: 'a raw signature becomes base64 with: base64 -w 0' },
  )
}
