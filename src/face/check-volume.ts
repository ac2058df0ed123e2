import { VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import {
  type Device,
  inspectVolume,
  judgeDevice,
  lookAtDevice,
  mangledPassphrase,
  opensVolume,
  requireCryptsetup,
  slotsOpenedBy,
  withHeaderFile,
} from '../encryptor/index.js'
import { type FetchedSecret, passphraseOf, type SecretSource } from '../keyfile/index.js'
import { type HeaderBackup, openHeaderBackup } from './header-backup.js'
import { requireKeyType } from './volume-key.js'

/**
 * How a key becomes a passphrase. The first is the rule; the others have been used, too: `hex` by
 * nova for passphrase-type secrets, `mangled` by everybody before Newton (without leading zeros).
 */
export type KeyForm = 'rule' | 'hex' | 'verbatim' | 'mangled'

export interface CheckKeyOptions {
  readonly device: string
  readonly keyId: string
  readonly keyManager: SecretSource
  /** `hex` encodes passphrase-type secrets too, as nova's native LUKS does. */
  readonly passphraseEncoding?: 'hex' | undefined
  readonly signal?: AbortSignal | undefined
}

/** The body of `luks check --json` of a volume. */
export interface KeyCheck {
  readonly device: string
  readonly uuid: string
  readonly keyId: string
  /** Whether the key opens it by the rule, as on attach. */
  readonly opens: boolean
  /** The form in which it opens it; null when in none. */
  readonly form: KeyForm | null
  /** The slots that it opens; not known while the volume key is being changed. */
  readonly keyslots: readonly number[]
  /** Slots of other keys. */
  readonly others: readonly number[]
}

/**
 * Whether a key opens a volume, and in which form. Nothing is opened or changed. A header that is not
 * acceptable is refused: what opens it proves nothing.
 *
 * @throws {VolsealError} `no-device`, `not-found`, `header-damaged`
 */
export async function checkVolumeKey(options: CheckKeyOptions): Promise<KeyCheck> {
  await requireCryptsetup()
  await inspectVolume(options.device)
  return await checkKey(await lookAtDevice(options.device), options)
}

const NONE: readonly number[] = []

/** The same of a device that was looked at. */
export async function checkKey(device: Device, options: CheckKeyOptions): Promise<KeyCheck> {
  const header = await judgeDevice(device)
  const { uuid, reencrypting } = header
  const found = await consumeForms(options, async (forms) => {
    for (const [form, passphrase] of forms) {
      const opening = { device, header, passphrase, signal: options.signal }
      // Then the content needs two slots, and none can be tried by its number.
      if (reencrypting) {
        if (await opensVolume(opening)) return { form, keyslots: NONE }
        continue
      }
      const keyslots = await slotsOpenedBy(opening)
      if (keyslots.length > 0) return { form, keyslots }
    }
    return { form: null, keyslots: NONE }
  })
  const numbers = reencrypting ? [] : header.keyslots.map(({ number }) => number)
  return {
    device: options.device,
    uuid,
    keyId: options.keyId,
    opens: found.form === 'rule',
    ...found,
    others: numbers.filter((number) => !found.keyslots.includes(number)),
  }
}

type Forms = readonly (readonly [KeyForm, Secret])[]

async function consumeForms<T>(
  { keyId, keyManager, passphraseEncoding: encoding }: CheckKeyOptions,
  use: (forms: Forms) => Promise<T>,
): Promise<T> {
  const secret = await keyManager.fetch(keyId)
  try {
    requireKeyType(keyId, secret.type)
    const forms = formsOf(secret, encoding)
    try {
      return await use(forms)
    } finally {
      for (const [, passphrase] of forms) passphrase.wipe()
    }
  } finally {
    secret.payload.wipe()
  }
}

function formsOf(secret: FetchedSecret, encoding: 'hex' | undefined): Forms {
  const forms: (readonly [KeyForm, Secret])[] = [['rule', passphraseOf(secret, { encoding })]]
  if (secret.type === 'passphrase') {
    const isHex = encoding === 'hex'
    forms.push(isHex ? ['verbatim', passphraseOf(secret)] : ['hex', secret.payload.hex()])
  }
  const mangled = mangledPassphrase(secret.payload)
  return mangled === undefined ? forms : [...forms, ['mangled', mangled]]
}

const IN_ANOTHER_FORM: Readonly<Record<Exclude<KeyForm, 'rule'>, { what: string; hint: string }>> =
  {
    mangled: {
      what: 'it has the passphrase of the time before Newton, without leading zeros',
      hint: 'mend it with: volseal luks rekey DEVICE --key-id ID --repair-mangled',
    },
    hex: {
      what: "it has the hex of the passphrase, by the rule of nova's native LUKS",
      hint: 'say --passphrase-encoding hex',
    },
    verbatim: {
      what: 'it has the passphrase as it is',
      hint: 'leave out --passphrase-encoding hex',
    },
  }

/** The error that a check amounts to; undefined when the key opens the volume. */
export function keyCheckError({ device, form }: KeyCheck): VolsealError | undefined {
  if (form === 'rule') return undefined
  if (form === null) return new VolsealError('wrong-key', `the key does not open ${device}`)
  const { what, hint } = IN_ANOTHER_FORM[form]
  return new VolsealError('wrong-key', `the key does not open ${device} as it is: ${what}`, {
    hint,
  })
}

/** The body of `luks check --json` of a header's backup. */
export interface BackupCheck extends HeaderBackup {
  /** Whether a volume's key opens the header in it; null when none was named. */
  readonly key: KeyCheck | null
}

/**
 * Checks all of a header's backup, and whether a key opens the header in it.
 *
 * @throws {VolsealError} `header-damaged`, `not-found`
 */
export async function checkHeaderBackup(
  options: Omit<CheckKeyOptions, 'keyId' | 'device'> & {
    readonly file: string
    readonly keyId?: string | undefined
  },
): Promise<BackupCheck> {
  const { file, keyId, keyManager } = options
  await requireCryptsetup()
  const { backup, header } = await openHeaderBackup(file, keyManager)
  return await withHeaderFile(header, backup.deviceSize, async (device) => {
    await inspectVolume(device.path)
    if (keyId === undefined) return { ...backup, key: null }
    return { ...backup, key: await checkKey(device, { ...options, keyId, device: file }) }
  })
}
