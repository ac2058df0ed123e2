import type { EncryptionFormat } from '../attach/encryption.js'
import {
  type BackEndKind,
  type ReadSpec,
  SECRET_STORE_FACTS,
  SECRET_STORES,
} from './encryption-spec.js'

/**
 * What becomes of a volume: `fails`: it cannot be made or attached; `clear`: it is there, cinder calls
 * it encrypted, and it is not; `note`: it works, but whoever chose it should know this.
 */
export type Effect = 'fails' | 'clear' | 'note'

/** One fact about encryption specs, as the services behave. */
export interface SpecRule {
  readonly code: string
  readonly backEnds: readonly BackEndKind[]
  readonly effect: Effect
  /** Which specs, in words. */
  readonly when: string
  readonly applies: (spec: ReadSpec) => boolean
  /** What happens, with the service's own message in quotes. */
  readonly what: (spec: ReadSpec) => string
  /** Where it stands: file and function, or the program and its version. */
  readonly source: string
}

const ALL = ['block', 'rbd', 'nfs'] as const
const BLOCK = ['block'] as const
const QEMU = ['rbd', 'nfs'] as const

const XTS_BITS: readonly number[] = [256, 512]
const CBC_BITS: readonly number[] = [128, 192, 256]

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

/** What os-brick's and cinder's tables of old names make of a provider, as cinder prints it. */
const PYTHON_NAMES: Readonly<Record<EncryptionFormat | 'none', string>> = {
  luks: 'luks',
  luks2: 'luks2',
  plain: 'plain',
  none: 'None',
}

/** Class paths are no old names: what loads them is os-brick's import of anything (no whitelist). */
const CLASS_PATHS: ReadonlySet<string> = new Set([
  'os_brick.encryptors.luks.Luks2Encryptor',
  'os_brick.encryptors.nop.NoOpEncryptor',
])

function cinderName({ provider, format }: ReadSpec): string {
  return format === undefined || CLASS_PATHS.has(provider) ? provider : PYTHON_NAMES[format]
}

function isLuks1({ format }: ReadSpec): boolean {
  return format === 'luks'
}

function hasCipher({ parts }: ReadSpec): boolean {
  return parts > 0
}

/** In the order in which the services come upon them. */
export const SPEC_RULES: readonly SpecRule[] = [
  {
    code: 'no-cipher',
    backEnds: ALL,
    effect: 'fails',
    when: 'no cipher',
    applies: (spec) => !hasCipher(spec),
    what: () => 'cinder makes no volume: "Invalid encryption spec"',
    source: 'cinder/volume/volume_utils.py create_encryption_key',
  },
  {
    code: 'key-not-drawn',
    backEnds: ALL,
    effect: 'fails',
    when: 'a key that no secret store of Barbican draws, or no key size',
    applies: (spec) => hasCipher(spec) && storesFor(spec).length === 0,
    what: () => 'Barbican draws no such key, and cinder makes no volume: "Key manager error"',
    source: 'cinder/volume/volume_utils.py create_encryption_key; the table of secret stores',
  },
  {
    code: 'key-depends-on-store',
    backEnds: ALL,
    effect: 'note',
    when: 'a key that only some secret stores draw, such as 512 bits',
    applies: (spec) => {
      const able = storesFor(spec).length
      return hasCipher(spec) && able > 0 && able < SECRET_STORES.length
    },
    what: (spec) =>
      `only a Barbican with ${storesFor(spec).join(' or ')} draws the key; with another secret store cinder makes no volume: "Key manager error"`,
    source: 'cinder/volume/volume_utils.py create_encryption_key; the table of secret stores',
  },
  {
    code: 'control-location-bare',
    backEnds: BLOCK,
    effect: 'clear',
    when: 'control location other than front-end',
    applies: ({ isFrontEnd }) => !isFrontEnd,
    what: ({ format }) =>
      `os-brick takes the encryptor that does nothing, so cinder writes images in clear${
        format === 'luks'
          ? '; nova does not look at the control location, finds no LUKS, and formats over them'
          : ', and instances write in clear'
      }`,
    source: 'os_brick/encryptors/__init__.py get_volume_encryptor; nova _use_native_luks',
  },
  {
    code: 'control-location-ignored',
    backEnds: QEMU,
    effect: 'note',
    when: 'control location other than front-end, provider luks',
    applies: (spec) => !spec.isFrontEnd && isLuks1(spec),
    what: () =>
      'cinder and nova do not look at the control location here: it is encrypted all the same',
    source: 'cinder/volume/volume_utils.py check_encryption_provider',
  },
  {
    code: 'encrypts-nothing',
    backEnds: BLOCK,
    effect: 'clear',
    when: 'a provider that encrypts nothing (NoOpEncryptor)',
    applies: ({ format }) => format === 'none',
    what: () => 'os-brick hands on the bare device: instances write in clear',
    source: 'os_brick/encryptors/nop.py',
  },
  {
    code: 'provider-unknown',
    backEnds: BLOCK,
    effect: 'fails',
    when: 'a provider that is not known',
    applies: ({ format, isFrontEnd }) => format === undefined && isFrontEnd,
    what: ({ provider }) =>
      `cinder makes the volume, and nobody can attach it: os-brick tries to load a Python class of that name: "Error instantiating ${provider}"`,
    source: 'os_brick/encryptors/__init__.py get_volume_encryptor',
  },
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
  {
    code: 'block-key-size',
    backEnds: BLOCK,
    effect: 'fails',
    when: 'a key size that AES does not have in that mode: XTS takes 256 or 512, others 128, 192 or 256',
    applies: (spec) => encryptsOnBlock(spec) && spec.algorithm === 'aes' && !hasAesBits(spec),
    what: ({ mode, bits }) =>
      `cinder makes the volume, and cryptsetup does not format it: the kernel has no AES-${mode.toUpperCase()} with ${bits} bits`,
    source: 'cryptsetup 2.6.1 luksFormat; AES takes keys of 128, 192, 256 bits, XTS two keys',
  },
  {
    code: 'block-cipher-without-iv',
    backEnds: BLOCK,
    effect: 'fails',
    when: 'a cipher with a mode and no IV',
    applies: (spec) =>
      encryptsOnBlock(spec) && (spec.parts === 2 || /^essiv$/.test(spec.iv)) && spec.mode !== 'ecb',
    what: ({ iv }) =>
      iv === 'essiv'
        ? 'cinder makes the volume, and cryptsetup does not format it: essiv wants its hash (essiv:sha256)'
        : 'cinder makes the volume, and cryptsetup does not format it: "Cipher specification should be in [cipher]-[mode]-[iv] format."',
    source: 'cryptsetup 2.6.1 luksFormat',
  },
  {
    code: 'xts-half',
    backEnds: BLOCK,
    effect: 'note',
    when: 'XTS with a key size of 256',
    applies: (spec) => encryptsOnBlock(spec) && spec.mode === 'xts' && spec.bits === 256,
    what: () =>
      'cryptsetup counts both keys of XTS, so that 256 bits are AES-128; qemu-img counts one',
    source: 'cryptsetup(8) --key-size; measured with cryptsetup 2.6.1 and qemu-img 7.2',
  },
  {
    code: 'luks2-clone',
    backEnds: BLOCK,
    effect: 'note',
    when: 'provider luks2 or plain',
    applies: (spec) =>
      encryptsOnBlock(spec) && (spec.format === 'luks2' || spec.format === 'plain'),
    what: (spec) =>
      `a volume cannot be cloned over iSCSI or FC: cinder: "Provider ${cinderName(spec)} not supported."`,
    source: 'cinder/volume/flows/manager/create_volume.py _rekey_volume',
  },
  {
    code: 'plain-unchecked',
    backEnds: BLOCK,
    effect: 'note',
    when: 'provider plain',
    applies: (spec) => encryptsOnBlock(spec) && spec.format === 'plain',
    what: () =>
      'there is no header: a wrong key opens it as garbage, the key cannot be changed, and cryptsetup 2.7 hashes it differently than 2.6 (os-brick names no hash)',
    source: 'os_brick/encryptors/cryptsetup.py; release notes of cryptsetup 2.7.0',
  },
  {
    code: 'old-name',
    backEnds: ALL,
    effect: 'note',
    when: 'an old name of a provider',
    applies: ({ provider, format }) =>
      format !== undefined && format !== 'none' && provider !== format,
    what: ({ format }) =>
      `the provider is an old name of ${format}, and every use of it logs a warning`,
    source: 'os_brick/encryptors/__init__.py LEGACY_PROVIDER_CLASS_TO_FORMAT_MAP',
  },
]

function storesFor({ algorithm, bits }: ReadSpec): string[] {
  return SECRET_STORES.filter((name) => SECRET_STORE_FACTS[name].draws(algorithm, bits))
}

function encryptsOnBlock(spec: ReadSpec): boolean {
  const { format, isFrontEnd } = spec
  return isFrontEnd && hasCipher(spec) && format !== undefined && format !== 'none'
}

/** `aes` alone is aes-cbc-plain for cryptsetup. */
function hasAesBits({ mode, bits }: ReadSpec): boolean {
  return (mode === 'xts' ? XTS_BITS : CBC_BITS).includes(bits)
}
