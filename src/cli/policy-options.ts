import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import { type ImageFacts, instant } from '../core/image-facts.js'
import { loadPolicy, type Policy, type PolicySubject } from '../face/policy.js'
import { readOrUnchecked } from '../face/verify.js'
import type { Cli, OptionGroup } from './cli.js'

/** What of an image a policy's rules look at, besides its bytes. */
export interface SubjectChoice {
  readonly project?: string | undefined
  readonly imageName?: string | undefined
}

export interface PolicyChoice extends SubjectChoice {
  readonly policy?: string | undefined
  readonly imageCreated?: string | undefined
}

export const SUBJECT_OPTIONS: OptionGroup<SubjectChoice> = {
  options: [
    new Option('--project <id>', 'with a policy: the project that owns the image'),
    new Option('--image-name <name>', "with a policy: the image's name in Glance"),
  ],
}

export const POLICY_OPTIONS: OptionGroup<PolicyChoice> = {
  options: [
    new Option('--policy <file>', 'rules for images: docs/policy.md'),
    ...SUBJECT_OPTIONS.options,
    new Option('--image-created <time>', 'with --policy: when Glance created it, in ISO 8601'),
  ],
}

/**
 * The policy, read once for all images.
 *
 * @throws {VolsealError} `usage`, `unchecked` when it cannot be read: without its rules nothing is judged
 */
export async function readPolicyOption(
  { signal }: Cli,
  { policy, project, imageName, imageCreated }: PolicyChoice,
): Promise<Policy | undefined> {
  if (policy !== undefined)
    return await readOrUnchecked(async () => await loadPolicy(policy, signal))
  if ((project ?? imageName ?? imageCreated) === undefined) return undefined
  throw new VolsealError('usage', '--project, --image-name and --image-created go with --policy')
}

/** What is known of an image: what the options say counts, else what its properties say. */
export function subjectOf(
  { project, imageName, imageCreated }: PolicyChoice,
  facts: ImageFacts,
): PolicySubject {
  return {
    project: project ?? facts.owner,
    imageName: imageName ?? facts.name,
    createdAt:
      imageCreated === undefined ? facts.createdAt : instant(imageCreated, '--image-created'),
  }
}
