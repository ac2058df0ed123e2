import {
  type BackEndKind,
  SECRET_STORE_FACTS,
  type SecretStoreName,
  type TypeEncryption,
} from './encryption-spec.js'
import { type BackEndVerdict, judgeSpec } from './judge-spec.js'

/** A spec that is better, where it is. */
export interface Recommendation {
  readonly backEnds: readonly BackEndKind[]
  readonly spec: TypeEncryption
  /** Such as `AES-256-XTS`. */
  readonly effectiveCipher: string
  readonly why: string
}

const LUKS = {
  provider: 'luks',
  cipher: 'aes-xts-plain64',
  controlLocation: 'front-end',
} as const

/**
 * What to set on each kind of back end. There is no key size that is AES-256 everywhere: 512 on block
 * devices, which needs a secret store that draws it, and 256 where qemu-img makes the header.
 */
export function recommendSpecs(
  spec: TypeEncryption,
  verdicts: readonly BackEndVerdict[],
  secretStore?: SecretStoreName,
): Recommendation[] {
  const kinds = verdicts.map(({ backEnd }) => backEnd)
  const onBlock = kinds.filter((kind) => kind === 'block')
  const onQemu = kinds.filter((kind) => kind !== 'block')
  const both = [
    ...(onBlock.length === 0 ? [] : [forBlock(secretStore)]),
    ...(onQemu.length === 0 ? [] : [forQemu(onQemu)]),
  ]
  return both.filter((better) => !verdicts.every((verdict) => isAsGood(verdict, better, spec)))
}

function forQemu(backEnds: readonly BackEndKind[]): Recommendation {
  return {
    backEnds,
    spec: { ...LUKS, keySize: 256 },
    effectiveCipher: 'AES-256-XTS',
    why: 'qemu-img doubles the 256 bits for XTS',
  }
}

function forBlock(secretStore: SecretStoreName | undefined): Recommendation {
  const backEnds = ['block'] as const
  const drawsBoth = secretStore === undefined || SECRET_STORE_FACTS[secretStore].draws('aes', 512)
  if (!drawsBoth) {
    return {
      backEnds,
      spec: { ...LUKS, keySize: 256 },
      effectiveCipher: 'AES-128-XTS',
      why: `${secretStore} draws no key of 512 bits; volseal makes AES-256-XTS with a key of 256 bits when it formats at the first use (attach --first-use)`,
    }
  }
  return {
    backEnds,
    spec: { ...LUKS, keySize: 512 },
    effectiveCipher: 'AES-256-XTS',
    why:
      secretStore === undefined
        ? 'XTS takes two keys of 256 bits. It needs a Barbican with p11_crypto or vault: with simple_crypto or kmip stay at 256, which is AES-128-XTS'
        : 'XTS takes two keys of 256 bits',
  }
}

/** Nothing is recommended that is there already, under whatever name of the provider. */
function isAsGood(
  verdict: BackEndVerdict,
  { backEnds, spec: better }: Recommendation,
  spec: TypeEncryption,
): boolean {
  if (!backEnds.includes(verdict.backEnd)) return true
  const [wanted] = judgeSpec(better, { backEnds: [verdict.backEnd] })
  const isOld = verdict.findings.some(
    ({ code, effect }) => code === 'old-name' || effect !== 'note',
  )
  const isBackEnd = spec.controlLocation.toLowerCase() !== better.controlLocation
  return (
    !isOld &&
    !isBackEnd &&
    verdict.format !== 'plain' &&
    verdict.effectiveCipher === wanted?.effectiveCipher
  )
}
