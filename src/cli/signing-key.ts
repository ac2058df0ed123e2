import { Option } from '@commander-js/extra-typings'
import { HASH_METHODS } from '../core/algorithms.js'
import { VolsealError } from '../core/errors.js'
import type { SignerOptions } from '../face/sign.js'
import type { Cli, OptionGroup } from './cli.js'
import { labelOf, readOptional } from './inputs.js'
import { type PassphraseChoice, readKeyAndCertificate } from './key-file.js'
import { SIGNER_OPTIONS, type SignerChoice, signerCommand } from './signer-command.js'

/** The options that say what signs, alike in `sign` and `images resign`. */
export interface SigningKeyChoice extends PassphraseChoice, SignerChoice {
  readonly key?: string | undefined
  readonly cert?: string | undefined
  readonly certId?: string | undefined
}

const HASHES = HASH_METHODS.map(({ name }) => name)

export const SIGNING_OPTIONS: OptionGroup<SignerChoice & { readonly hash: SignerOptions['hash'] }> =
  {
    options: [
      new Option('--hash <name>', 'hash method').choices(HASHES).default('SHA-256'),
      ...SIGNER_OPTIONS.options,
    ],
  }

/** The key is in a file, or somewhere else: what belongs to the one says nothing of the other. */
export function refuseUnclearKey(choice: SigningKeyChoice): void {
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

/** Reads the key, with its certificate if the file has it, or finds the program that has it. */
export async function keyOf(
  cli: Cli,
  choice: SigningKeyChoice,
): Promise<
  Pick<
    SignerOptions,
    'key' | 'signer' | 'publicKey' | 'publicKeyName' | 'signerKeyId' | 'certificate'
  >
> {
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
