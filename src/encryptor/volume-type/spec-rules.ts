import { type ReadSpec, SECRET_STORE_FACTS, SECRET_STORES } from './encryption-spec.js'

import { QEMU, QEMU_RULES } from './qemu-rules.js'
import { cinderName, hasCipher, isLuks1, type SpecRule } from './spec-rule.js'

/** What becomes of encryption specs: one row for each fact, with its source. */

const ALL = ['block', 'rbd', 'nfs'] as const
const BLOCK = ['block'] as const

const XTS_BITS: readonly number[] = [256, 512]
const CBC_BITS: readonly number[] = [128, 192, 256]

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
  ...QEMU_RULES,
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
