import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import { reencryptVolume } from '../../face/reencrypt-volume.js'
import { abortRekey, type RekeyResult, rekeyVolume } from '../../face/rekey-volume.js'
import { repairMangledVolume } from '../../face/repair-volume.js'
import { BACKUP_OPTIONS, backupPlace, tellBackup } from '../backup-options.js'
import {
  act,
  addOptions,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
  progressOption,
  withProgress,
} from '../cli.js'
import { commitCommand } from '../commit-command.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('rekey', {
      summary: 'give a volume another key; the old one goes when the new one is taken over',
      example: 'volseal luks rekey luks.img --key-id "$KEY_ID"',
      exitCodes: [
        'usage',
        'wrong-key',
        'busy',
        'no-device',
        'header-damaged',
        'too-small',
        'forbidden',
        'not-found',
        'unavailable',
        'keystore-damaged',
        'io',
        'interrupted',
      ],
    })
      .argument('<device>', 'block device, or a file that stands for one; it may be open')
      .requiredOption('--key-id <id>', 'the key that opens it now')
      .option('--new-key-id <id>', 'the key that is to; without, one is made')
      .option('--commit <program>', 'takes the new id over: PROGRAM NEW OLD UUID, exit code 0')
      .option('--abort', 'take the new key out again, while the old one opens')
      .option('--repair-mangled', 'mend the passphrase of a volume from before Newton')
      .option('--volume-key', 'change the volume key: encrypts all content anew (LUKS2)')
      .option('--key-is-random', 'your word that stored keys were drawn at random')
      .addOption(
        new Option(
          '--passphrase-encoding <kind>',
          'hex: passphrase-type secrets as hex too, as nova does',
        ).choices(['hex'] as const),
      ),
    BACKUP_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-rekey', async (device, options) => {
        refuseMixture(options)
        const { keyId, newKeyId, commit: program, keyIsRandom, passphraseEncoding } = options
        const backup = await backupPlace(cli, options)
        const { signal } = cli
        const result = await withKeyManager(cli, options, async (keyManager, cloud) => {
          const choice = {
            device,
            keyId,
            keyManager,
            backup,
            keyIsRandom,
            passphraseEncoding,
            signal,
          }
          if (options.volumeKey === true) {
            return await withProgress(cli, options.progress, async (progress) => {
              const onProgress = progress.phase('encrypting anew')
              return await reencryptVolume({ ...choice, onProgress })
            })
          }
          if (options.repairMangled === true) return await repairMangledVolume(choice)
          if (options.abort === true) return await abortRekey({ ...choice, newKeyId })
          const commit = program === undefined ? undefined : await commitCommand(cli, program)
          if (commit === undefined && cloud !== undefined) {
            const { refuseCinderVolume } = await import('../../face/cinder-key.js')
            await refuseCinderVolume(cloud, { keyId, signal })
          }
          return await rekeyVolume({ ...choice, newKeyId, commit })
        })
        tellBackup(cli, result.backup)
        const remark = REMARKS[result.state]?.(result)
        if (remark !== undefined) note(cli, remark)
        return { body: result, text: describe(result) }
      }),
    )

interface Choice {
  readonly newKeyId?: string | undefined
  readonly commit?: string | undefined
  readonly abort?: true | undefined
  readonly repairMangled?: true | undefined
  readonly volumeKey?: true | undefined
}

function refuseMixture({ newKeyId, commit, abort, repairMangled, volumeKey }: Choice): void {
  const modes = [abort, repairMangled, volumeKey].filter((mode) => mode === true)
  if (modes.length > 1) {
    throw new VolsealError('usage', 'expected one of --abort, --repair-mangled and --volume-key')
  }
  if (modes.length === 1 && commit !== undefined) {
    throw new VolsealError('usage', '--commit goes with a new key only')
  }
  if ((repairMangled ?? volumeKey) === true && newKeyId !== undefined) {
    throw new VolsealError(
      'usage',
      '--repair-mangled and --volume-key keep the key: no --new-key-id',
    )
  }
}

const REMARKS: Readonly<Partial<Record<RekeyResult['state'], (result: RekeyResult) => string>>> = {
  replaced: keptOld,
  resumed: keptOld,
  reencrypted: ({ backup }) =>
    `${backup === null ? 'all header backups' : 'that backup and all older ones'} are worth nothing now; delete them`,
  aborted: ({ newKeyId }) =>
    `the key ${newKeyId} is still in the key manager; who took it over must go back to the old one`,
}

function keptOld({ oldKeyId }: RekeyResult): string {
  return `the old key ${oldKeyId} is still in the key manager; older header backups need it`
}

const HEADLINES: Readonly<Record<RekeyResult['state'], (result: RekeyResult) => string>> = {
  replaced: ({ device, newKeyId }) => `the key of ${device} is now ${newKeyId}`,
  resumed: ({ device, newKeyId }) => `the key of ${device} is now ${newKeyId} (begun earlier)`,
  already: ({ device, newKeyId }) => `the key of ${device} is ${newKeyId} already`,
  reencrypted: ({ device }) => `${device} has another volume key`,
  repaired: ({ device, newKeyId }) => `${device} now has the right passphrase of ${newKeyId}`,
  aborted: ({ device, oldKeyId }) => `the key of ${device} is ${oldKeyId} again`,
  'nothing-to-abort': ({ device }) => `nothing was begun on ${device}`,
}

function describe(result: RekeyResult): string {
  const lines = [
    ['volume', result.uuid],
    ['keyslot', result.keyslots.join(', ')],
    ['removed', result.removed.join(', ')],
    ['other keys', result.others.join(', ')],
  ] as const
  const told = lines.filter(([, value]) => value !== '')
  return `${HEADLINES[result.state](result)}\n${rows(told)}`
}
