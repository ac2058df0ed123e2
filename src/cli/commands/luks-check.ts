import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import {
  type BackupCheck,
  checkHeaderBackup,
  checkVolumeKey,
  type KeyCheck,
  keyCheckError,
} from '../../face/check-volume.js'
import { isHeaderBackup } from '../../face/header-backup.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import type { Outcome } from '../output.js'
import { rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('check', {
      summary: "does this key open the volume? is this header's backup whole? changes nothing",
      example: 'volseal luks check luks.img --key-id "$KEY_ID"',
      exitCodes: [
        'usage',
        'wrong-key',
        'no-device',
        'header-damaged',
        'forbidden',
        'not-found',
        'keystore-damaged',
        'io',
        'interrupted',
      ],
    })
      .argument('<device>', 'a volume, or a backup of its header')
      .option('--key-id <id>', 'the key in the key manager; a backup can be checked without')
      .addOption(
        new Option(
          '--passphrase-encoding <kind>',
          'hex: passphrase-type secrets as hex too, as nova does',
        ).choices(['hex'] as const),
      ),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-check', async (device, options) => {
        const { keyId, passphraseEncoding } = options
        const isBackup = await isHeaderBackup(device)
        if (!isBackup && keyId === undefined) throw keyMissing(device)
        return await withKeyManager(cli, options, async (keyManager) => {
          const choice = { keyManager, passphraseEncoding, signal: cli.signal }
          if (isBackup || keyId === undefined) {
            return backupOutcome(await checkHeaderBackup({ ...choice, file: device, keyId }))
          }
          return volumeOutcome(await checkVolumeKey({ ...choice, device, keyId }))
        })
      }),
    )

function keyMissing(device: string): VolsealError {
  return new VolsealError('usage', `${device} is no header backup, and --key-id is missing`, {
    hint: 'name the key that is to open the volume: --key-id ID',
  })
}

function volumeOutcome(check: KeyCheck): Outcome {
  const text = check.opens ? `the key opens ${check.device}\n${slots(check)}` : ''
  return { body: check, text, error: keyCheckError(check) }
}

function backupOutcome(check: BackupCheck): Outcome {
  const { file, uuid, version, created, headerBytes, key } = check
  const facts = rows([
    ['volume', `${uuid} (LUKS${version} on disk)`],
    ['created', created],
    ['header', `${headerBytes} bytes`],
  ])
  const opening = key?.opens === true ? `\n${slots(key)}` : ''
  const error = key === null ? undefined : keyCheckError(key)
  return { body: check, text: `${file} is whole\n${facts}${opening}`, error }
}

function slots({ keyslots, others }: KeyCheck): string {
  const theirs = others.length === 0 ? [] : [['other keys', others.join(', ')] as const]
  const own = keyslots.length === 0 ? 'its volume key is being changed' : keyslots.join(', ')
  return rows([['keyslot', own], ...theirs])
}
