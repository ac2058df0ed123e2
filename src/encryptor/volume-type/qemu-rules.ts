import type { ReadSpec } from './encryption-spec.js'
import { cinderName, hasCipher, isLuks1, type SpecRule } from './spec-rule.js'

/** What cinder and qemu-img make of specs where qemu-img writes the header. */

export const QEMU = ['rbd', 'nfs'] as const

/** qapi/crypto.json QCryptoCipherAlgorithm, in the words of QEMU 7.2. */
const QEMU_CIPHERS: ReadonlySet<string> = new Set([
  'aes-128',
  'aes-192',
  'aes-256',
  'des',
  '3des',
  'cast5-128',
  'serpent-128',
  'serpent-192',
  'serpent-256',
  'twofish-128',
  'twofish-192',
  'twofish-256',
])
const QEMU_MODES: ReadonlySet<string> = new Set(['ecb', 'cbc', 'xts', 'ctr'])
const QEMU_IVS: ReadonlySet<string> = new Set(['plain', 'plain64', 'essiv'])

/** What qemu-img is told (cinder/image/image_utils.py decode_cipher). */
function qemuCipher({ algorithm, keySize }: ReadSpec): string {
  return `${algorithm}-${keySize ?? 'None'}`
}

function doesNotAccept(parameter: string, value: string): string {
  return `qemu-img: "Parameter '${parameter}' does not accept value '${value}'"; the volume ends in error`
}

export const QEMU_RULES: readonly SpecRule[] = [
  {
    code: 'provider-not-luks',
    backEnds: QEMU,
    effect: 'fails',
    when: 'any other provider than luks and its old names',
    applies: (spec) => !isLuks1(spec),
    what: (spec) =>
      `cinder: "Provider ${cinderName(spec)} not supported."; the volume ends in error`,
    source: 'cinder/volume/volume_utils.py check_encryption_provider',
  },
  {
    code: 'cipher-not-three-parts',
    backEnds: QEMU,
    effect: 'fails',
    when: 'a cipher that is not ALGORITHM-MODE-IV',
    applies: (spec) => isLuks1(spec) && hasCipher(spec) && spec.parts !== 3,
    what: () => 'cinder: "Invalid cipher field in encryption type"; the volume ends in error',
    source: 'cinder/image/image_utils.py decode_cipher',
  },
  {
    code: 'qemu-cipher',
    backEnds: QEMU,
    effect: 'fails',
    when: 'ALGORITHM-KEYSIZE that QEMU does not know, such as aes-512',
    applies: (spec) => isLuks1(spec) && spec.parts === 3 && !QEMU_CIPHERS.has(qemuCipher(spec)),
    what: (spec) => doesNotAccept('cipher-alg', qemuCipher(spec)),
    source: 'qemu-img 7.2; cinder/image/image_utils.py decode_cipher',
  },
  {
    code: 'qemu-mode',
    backEnds: QEMU,
    effect: 'fails',
    when: 'a mode that QEMU does not know',
    applies: (spec) =>
      isLuks1(spec) &&
      spec.parts === 3 &&
      QEMU_CIPHERS.has(qemuCipher(spec)) &&
      !QEMU_MODES.has(spec.mode),
    what: ({ mode }) => doesNotAccept('cipher-mode', mode),
    source: 'qemu-img 7.2',
  },
  {
    code: 'qemu-iv',
    backEnds: QEMU,
    effect: 'fails',
    when: 'an IV that QEMU does not know by that name, such as essiv:sha256',
    applies: (spec) =>
      isLuks1(spec) &&
      spec.parts === 3 &&
      QEMU_CIPHERS.has(qemuCipher(spec)) &&
      QEMU_MODES.has(spec.mode) &&
      !QEMU_IVS.has(spec.iv),
    what: ({ iv }) => doesNotAccept('ivgen-alg', iv),
    source: 'qemu-img 7.2',
  },
  {
    code: 'qemu-192-bits',
    backEnds: QEMU,
    effect: 'fails',
    when: '192 bits in another mode than XTS',
    applies: (spec) =>
      isLuks1(spec) && spec.parts === 3 && spec.bits === 192 && spec.mode !== 'xts',
    what: () => 'qemu-img ends with a failed assertion (crypto/block.c); the volume ends in error',
    source:
      'qemu-img 7.2: key material of 192 bits times 4000 stripes is no whole number of sectors',
  },
]
