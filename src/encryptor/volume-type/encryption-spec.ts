import { type EncryptionFormat, findFormat } from '../attach/encryption.js'

/** The encryption of a volume type, as cinder keeps it (`GET /types/ID/encryption`). */
export interface TypeEncryption {
  readonly provider: string
  /** Such as `aes-xts-plain64`. */
  readonly cipher: string | null
  /** Bits of the key that Barbican is asked for. */
  readonly keySize: number | null
  /** `front-end` or `back-end`. */
  readonly controlLocation: string
}

/** Where volumes are: what matters is who makes the header, and who decrypts. */
export const BACK_END_KINDS = ['block', 'rbd', 'nfs'] as const
export type BackEndKind = (typeof BACK_END_KINDS)[number]

export interface BackEndFacts {
  readonly name: string
  /** Who writes the header. */
  readonly maker: string
  /** What lies on the storage, where the provider's format does not say it. */
  readonly onDisk: string
  readonly source: string
}

export const BACK_ENDS: Readonly<Record<BackEndKind, BackEndFacts>> = {
  block: {
    name: 'LVM, iSCSI, FC, NVMe-oF',
    maker: 'cryptsetup, by os-brick at the first attachment',
    onDisk: 'on a block device',
    source: 'os_brick/encryptors/luks.py _format_volume; nova/virt/libvirt/driver.py',
  },
  rbd: {
    name: 'Ceph RBD',
    maker: 'qemu-img, by cinder when it makes the volume',
    onDisk: 'in an RBD image',
    source: 'cinder/volume/drivers/rbd.py _create_encrypted_volume, _encrypt_image',
  },
  nfs: {
    name: 'NFS and other files',
    maker: 'qemu-img, by cinder when it makes the volume',
    onDisk: 'inside a qcow2 file',
    source: 'cinder/volume/drivers/remotefs.py _create_encrypted_volume_file',
  },
}

/** What Barbican keeps secrets in (`[secretstore]`), which decides which keys it can draw. */
export const SECRET_STORES = ['simple_crypto', 'kmip', 'p11_crypto', 'vault'] as const
export type SecretStoreName = (typeof SECRET_STORES)[number]

export interface SecretStoreFacts {
  readonly draws: (algorithm: string, bits: number) => boolean
  /** The same in words. */
  readonly keys: string
  readonly source: string
}

const SIMPLE_ALGORITHMS = /^(?:aes|des|3des|hmacsha(?:1|256|384|512))$/i

/** Cinder orders a key by algorithm and length, and says no mode: nothing tells Barbican of XTS. */
export const SECRET_STORE_FACTS: Readonly<Record<SecretStoreName, SecretStoreFacts>> = {
  simple_crypto: {
    draws: (algorithm, bits) =>
      SIMPLE_ALGORITHMS.test(algorithm) && [64, 128, 192, 256].includes(bits),
    keys: 'AES, DES and 3DES of 64, 128, 192 and 256 bits',
    source: 'barbican/plugin/crypto/simple_crypto.py _is_algorithm_supported',
  },
  kmip: {
    draws: (algorithm, bits) => /^aes$/i.test(algorithm) && [128, 192, 256].includes(bits),
    keys: 'AES of 128, 192 and 256 bits',
    source: 'barbican/plugin/kmip_secret_store.py valid_alg_dict',
  },
  p11_crypto: {
    draws: (_, bits) => bits > 0 && bits % 8 === 0,
    keys: 'any whole number of bytes',
    source: 'barbican/plugin/crypto/p11_crypto.py supports',
  },
  vault: {
    draws: (_, bits) => bits > 0 && bits % 8 === 0,
    keys: 'any whole number of bytes',
    source: 'barbican/plugin/vault_secret_store.py generate_supports',
  },
}

/** A spec, taken apart. */
export interface ReadSpec extends TypeEncryption {
  /** Undefined for a provider that nobody knows. */
  readonly format: EncryptionFormat | 'none' | undefined
  /** As the kernel reads `alg-mode-iv`; what is missing is empty. */
  readonly algorithm: string
  readonly mode: string
  /** All behind the mode: `plain64`, `essiv:sha256`. */
  readonly iv: string
  /** How many parts there are between the `-`. */
  readonly parts: number
  readonly bits: number
  readonly isFrontEnd: boolean
}

export function readSpec(spec: TypeEncryption): ReadSpec {
  const parts = spec.cipher === null || spec.cipher === '' ? [] : spec.cipher.split('-')
  const [algorithm = '', mode = '', ...rest] = parts
  return {
    ...spec,
    format: findFormat(spec.provider),
    algorithm,
    mode,
    iv: rest.join('-'),
    parts: parts.length,
    bits: spec.keySize ?? 0,
    // os-brick compares in lower case.
    isFrontEnd: spec.controlLocation.toLowerCase() === 'front-end',
  }
}
