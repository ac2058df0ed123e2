import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Option } from '@commander-js/extra-typings'
import { HASH_METHODS, KEY_TYPES } from '../core/algorithms.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import { PROFILE_NAMES, type ProfileName } from '../core/profiles.js'
import type { StoredImage } from '../face/glance-image.js'
import type { SecretSource } from '../face/key-store.js'
import type { Policy } from '../face/policy.js'
import {
  type JudgeOptions,
  readOrUnchecked,
  type VerifyOptions,
  withReport,
} from '../face/verify.js'
import type { Cli, OptionGroup } from './cli.js'
import {
  labelOf,
  type PropertiesFile,
  readOptional,
  readProperties,
  readSignature,
} from './inputs.js'
import type { LazyCloud } from './key-manager-options.js'
import { POLICY_OPTIONS, type PolicyChoice, subjectOf } from './policy-options.js'
import { TRUST_OPTIONS, type TrustChoice, trustOptions } from './trust-options.js'

/** The options that say what an image is judged by, alike in `verify` and `write`. */
export interface VerifyChoice extends TrustChoice, PolicyChoice {
  readonly properties?: string | undefined
  readonly signature?: string | undefined
  readonly hash?: string | undefined
  readonly keyType?: string | undefined
  readonly cert?: string | undefined
  readonly certId?: string | undefined
  readonly profile: ProfileName
  readonly salt: 'max' | 'any'
  /** An image without a signature is to be explained, too. */
  readonly explain?: boolean | undefined
}

export const VERIFY_OPTIONS: OptionGroup<VerifyChoice> = {
  options: [
    new Option(
      '--properties <file>',
      "JSON with the properties (default IMAGE.signature.json, or Glance's)",
    ),
    new Option('--signature <file>', 'the signature alone, raw or base64'),
    new Option('--hash <name>', 'with --signature: hash method').choices(
      HASH_METHODS.map(({ name }) => name),
    ),
    new Option('--key-type <type>', 'with --signature: key type').choices(
      KEY_TYPES.map(({ name }) => name),
    ),
    new Option('--cert <file>', 'the certificate to verify with'),
    new Option('--cert-id <id>', 'the same by its id in the key manager'),
    ...TRUST_OPTIONS,
    new Option('--profile <name>', "by which rules: volseal's, or those of nova, cinder and glance")
      .choices(PROFILE_NAMES)
      .default('strict'),
    new Option('--salt <rule>', 'RSA-PSS salts to accept: the longest, or any')
      .choices(['max', 'any'])
      .default('max'),
    ...POLICY_OPTIONS.options,
  ],
}

/** Where what the options name is fetched from. */
export interface Sources {
  readonly secrets: SecretSource
  readonly cloud: LazyCloud
  readonly policy: Policy | undefined
}

/** An image and what it is judged by, as the library takes it. */
export type JudgedImage = JudgeOptions & Pick<VerifyOptions, 'image'> & { stored?: StoredImage }

/**
 * Reads all that the options name. `image` is a path, `-` or `glance:ID`.
 *
 * @throws {ImageRefused} for what cannot be read, or is no signature: nothing is known then but the
 * image's name
 */
export async function judgeOptions(
  cli: Cli,
  image: string,
  choice: VerifyChoice,
  { secrets, cloud, policy }: Sources,
): Promise<JudgedImage> {
  const nothing = { properties: {}, profile: choice.profile }
  const read = async (): Promise<JudgedImage> => {
    const stored = await findStored(cli, image, cloud)
    if (stored === undefined) await requireImage(image)
    const { properties, facts } = await propertiesOf(cli, image, choice, stored)
    return {
      image: stored?.image ?? image,
      ...(stored === undefined ? {} : { stored }),
      properties,
      policy,
      subject: subjectOf(choice, facts),
      imageId: stored?.imageId ?? facts.id,
      certificate: await readOptional(cli, choice.cert, 'certificate'),
      certificateName: labelOf(choice.cert),
      certificateId: choice.certId,
      ...(await trustOptions(cli, choice, secrets)),
      keyManager: secrets,
      profile: choice.profile,
      salt: choice.salt,
    }
  }
  return await withReport(image, nothing, async () => await readOrUnchecked(read))
}

/** An image in Glance; undefined for all others. */
async function findStored(
  { signal }: Cli,
  image: string,
  cloud: LazyCloud,
): Promise<StoredImage | undefined> {
  if (!image.startsWith('glance:')) return undefined
  const { findStoredImage, glanceId } = await import('../face/glance-image.js')
  const id = glanceId(image)
  return id === undefined
    ? undefined
    : await findStoredImage((await cloud()).glance, id, { signal })
}

/** Looked at before its properties: an image that is not there is not an unsigned one. */
async function requireImage(image: string): Promise<void> {
  if (image === '-') return
  const stats = await stat(image).catch((error: unknown) => {
    throw fromSystem(error, `cannot read the image ${image}`)
  })
  if (!stats.isDirectory()) return
  throw new VolsealError('usage', `${image}: expected a file, got a directory`)
}

async function propertiesOf(
  cli: Cli,
  image: string,
  choice: VerifyChoice,
  stored: StoredImage | undefined,
): Promise<PropertiesFile> {
  const { properties, signature, hash, keyType, policy } = choice
  if (properties !== undefined && signature !== undefined) {
    throw new VolsealError('usage', '--properties and --signature exclude each other')
  }
  if (signature !== undefined) {
    return await singleProperties(cli, signature, choice)
  }
  if ((hash ?? keyType) !== undefined) {
    throw new VolsealError('usage', '--hash and --key-type go with --signature')
  }
  if (properties !== undefined) return await readProperties(cli, properties)
  if (stored !== undefined) return { properties: stored.properties, facts: stored.facts }
  const beside = `${image}.signature.json`
  // It comes with the image: what it says of a project or a name is nothing to choose a rule by.
  if (existsSync(beside)) return { ...(await readProperties(cli, beside)), facts: {} }
  // Whether that is allowed is for the policy to say.
  if (policy !== undefined || choice.explain === true) return { properties: {}, facts: {} }
  const where = image === '-' ? '' : `: there is no ${beside}`
  throw new VolsealError('unsigned', `the image has no signature${where}`, {
    hint: 'name its properties with --properties FILE, or sign it with: volseal sign',
  })
}

async function singleProperties(
  cli: Cli,
  signature: string,
  { hash, keyType, certId }: VerifyChoice,
): Promise<PropertiesFile> {
  if (hash === undefined || keyType === undefined) {
    throw new VolsealError('usage', '--signature needs --hash and --key-type beside it')
  }
  const properties = {
    img_signature: await readSignature(cli, signature),
    img_signature_hash_method: hash,
    img_signature_key_type: keyType,
    ...(certId === undefined ? {} : { img_signature_certificate_uuid: certId }),
  }
  return { properties, facts: {} }
}
