import { VolsealError } from '../core/errors.js'
import {
  accessCommand,
  BACK_END_KINDS,
  BACK_ENDS,
  type BackEndKind,
  type BackEndVerdict,
  createCommand,
  judgeSpec,
  type Recommendation,
  recommendSpecs,
  SECRET_STORES,
  type SecretStoreName,
  setCommand,
  type TypeEncryption,
} from '../encryptor/index.js'
import type { Cinder, EncryptionSpec, VolumeType } from '../openstack/index.js'

export {
  BACK_END_KINDS,
  BACK_ENDS,
  type BackEndKind,
  type BackEndVerdict,
  SECRET_STORES,
  type SecretStoreName,
  type TypeEncryption,
  type VolumeType,
}

/** Where volume types are read: a cloud's `Cinder`, or whatever answers the same. */
export type VolumeTypeSource = Pick<
  Cinder,
  'types' | 'typeEncryption' | 'isTypeInUse' | 'typeProjects'
>

export interface CheckSpecOptions {
  /** The kinds of back end that must work; all are shown, and one must work, when not given. */
  readonly backEnds?: readonly BackEndKind[] | undefined
  /** What Barbican keeps its secrets in. */
  readonly secretStore?: SecretStoreName | undefined
  readonly signal?: AbortSignal | undefined
}

/** What to set instead, and the commands of the `openstack` client that do it. */
export interface RecommendedSpec extends Recommendation {
  readonly commands: readonly string[]
}

/** The body of `volume-type check --json`. */
export interface SpecCheck {
  /** Null when the spec was given by hand. */
  readonly type: VolumeType | null
  /** Whether volumes have the type; null where that is not known. */
  readonly inUse: boolean | null
  readonly spec: TypeEncryption
  readonly backEnds: readonly BackEndVerdict[]
  readonly recommended: readonly RecommendedSpec[]
}

/** A spec that does not encrypt where it should; `report` says why and what to set instead. */
export class SpecRefused extends VolsealError {
  readonly report: SpecCheck

  constructor(report: SpecCheck, message: string, hint: string) {
    super('no-device', message, { hint })
    this.report = report
  }
}

/**
 * What an encryption spec really gives on each kind of back end, and what to set instead.
 *
 * @throws {SpecRefused} when a back end would store in clear, when none encrypts, or one of those that
 * are named does not
 */
export function checkEncryptionSpec(
  spec: TypeEncryption,
  { backEnds, secretStore }: CheckSpecOptions = {},
): SpecCheck {
  return accepted(checkOf(spec, null, null, { backEnds, secretStore }), backEnds !== undefined)
}

/**
 * The same for a volume type of a cloud.
 *
 * @throws {SpecRefused}
 * @throws {VolsealError} `not-found` for an unknown type, `no-device` for one without encryption,
 * `forbidden`, `unavailable`
 */
export async function checkVolumeType(
  source: VolumeTypeSource,
  nameOrId: string,
  options: CheckSpecOptions = {},
): Promise<SpecCheck> {
  const { backEnds, signal } = options
  const type = await findType(source, nameOrId, signal)
  const [spec, inUse] = await Promise.all([
    source.typeEncryption(type.id, { signal }),
    source.isTypeInUse(type.id, { signal }),
  ])
  if (spec === null) throw withoutEncryption(type, inUse)
  return accepted(checkOf(encryptionIn(spec), type, inUse, options), backEnds !== undefined)
}

/** The body of `volume-type show --json`. */
export interface ShownType {
  readonly type: VolumeType
  /** Null for a type without encryption. */
  readonly spec: TypeEncryption | null
  /** Projects that may use a private type. */
  readonly projects: readonly string[]
  /** What makes the same type elsewhere. */
  readonly commands: readonly string[]
}

/** A volume type of a cloud, and the commands that make the same. */
export async function showVolumeType(
  source: VolumeTypeSource,
  nameOrId: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ShownType> {
  const type = await findType(source, nameOrId, signal)
  const [spec, projects] = await Promise.all([
    source.typeEncryption(type.id, { signal }),
    type.isPublic ? [] : source.typeProjects(type.id, { signal }),
  ])
  const encryption = spec === null ? null : encryptionIn(spec)
  const commands = [
    createCommand(type, encryption ?? undefined),
    ...projects.map((project) => accessCommand(type.name, project)),
  ]
  return { type, spec: encryption, projects, commands }
}

/** The type with that id, or else with that name. @throws {VolsealError} `not-found` */
async function findType(
  source: VolumeTypeSource,
  nameOrId: string,
  signal: AbortSignal | undefined,
): Promise<VolumeType> {
  const types = await source.types({ signal })
  const listed =
    types.find(({ id }) => id === nameOrId) ?? types.find(({ name }) => name === nameOrId)
  if (listed !== undefined) return listed
  throw new VolsealError('not-found', `cinder has no volume type ${JSON.stringify(nameOrId)}`, {
    hint: 'openstack volume type list shows them; private ones are seen by their projects only',
  })
}

/** What cinder requires of every encryption is never missing. */
function encryptionIn(spec: EncryptionSpec): TypeEncryption {
  return { ...spec, provider: spec.provider ?? '', controlLocation: spec.controlLocation ?? '' }
}

function checkOf(
  spec: TypeEncryption,
  type: VolumeType | null,
  inUse: boolean | null,
  options: CheckSpecOptions,
): SpecCheck {
  const backEnds = judgeSpec(spec, options)
  const better = recommendSpecs(spec, backEnds, options.secretStore)
  const recommended = better.map((one) => {
    // A type has one encryption: what is better here may fail elsewhere.
    const canSet = inUse === false && one.backEnds.length === backEnds.length
    const command = type !== null && canSet ? setCommand(type.name, one.spec) : newType(type, one)
    return { ...one, commands: [command] }
  })
  return { type, inUse, spec, backEnds, recommended }
}

/** What it is called says what it is for: the same spec means another cipher elsewhere. */
function newType(type: VolumeType | null, { spec, backEnds }: Recommendation): string {
  const name = `${type?.name ?? spec.provider}-${backEnds.join('-')}-${spec.keySize}`
  const { description, isPublic, extraSpecs } = type ?? {}
  return createCommand({ name, description, isPublic, extraSpecs }, spec)
}

function accepted(check: SpecCheck, named: boolean): SpecCheck {
  const clear = check.backEnds.filter(({ outcome }) => outcome === 'clear')
  const failing = check.backEnds.filter(({ outcome }) => outcome === 'fails')
  const what = check.type === null ? 'this spec' : `the volume type ${check.type.name}`
  const hint =
    check.type === null
      ? 'the recommended commands make a type that works'
      : 'set what is recommended; cinder changes the encryption of no type that volumes have'
  if (clear.length > 0) {
    const message = `${what} stores in clear on ${namesOf(clear)}, and cinder calls it encrypted`
    throw new SpecRefused(check, message, hint)
  }
  if (failing.length === check.backEnds.length || (named && failing.length > 0)) {
    throw new SpecRefused(check, `${what} makes no usable volume on ${namesOf(failing)}`, hint)
  }
  return check
}

function namesOf(verdicts: readonly BackEndVerdict[]): string {
  return verdicts.map(({ backEnd }) => BACK_ENDS[backEnd].name).join('; ')
}

function withoutEncryption(type: VolumeType, inUse: boolean): VolsealError {
  const hint = inUse
    ? 'volumes have it already, so make another type: openstack volume type create --encryption-provider luks …'
    : 'volseal volume-type check --provider luks --cipher aes-xts-plain64 --key-size 256 says what a spec would give'
  return new VolsealError('no-device', `the volume type ${type.name} has no encryption`, { hint })
}
