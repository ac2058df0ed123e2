import { Option } from '@commander-js/extra-typings'
import { type TuneResult, tuneVolume } from '../../face/tune-volume.js'
import { BACKUP_OPTIONS, backupPlace, tellBackup } from '../backup-options.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand, note } from '../cli.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { rows } from '../text.js'
import { slotLine } from '../volume-text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('tune', {
      summary: 'make a volume whose key is random cheap to open, in place',
      example: 'volseal luks tune luks.img --key-id "$KEY_ID"',
      exitCodes: [
        'usage',
        'wrong-key',
        'busy',
        'no-device',
        'header-damaged',
        'too-small',
        'forbidden',
        'not-found',
        'keystore-damaged',
        'io',
        'interrupted',
      ],
    })
      .argument('<device>', 'block device, or a file that stands for one; it may be open')
      .requiredOption('--key-id <id>', 'the key that opens it')
      .addOption(
        new Option('--key-is-random', 'your word that the stored key was drawn at random'),
      ),
    BACKUP_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'luks-tune', async (device, options) => {
        const backup = await backupPlace(cli, options)
        const { keyId } = options
        const keyIsRandom = options.keyIsRandom === true
        const result = await withKeyManager(
          cli,
          options,
          async (keyManager) =>
            await tuneVolume({
              device,
              keyId,
              keyManager,
              backup,
              keyIsRandom,
              signal: cli.signal,
            }),
        )
        tellBackup(cli, result.backup)
        for (const slot of result.others) note(cli, otherSlot(device, slot))
        return { body: result, text: describe(result) }
      }),
    )

function describe({ device, state, before, after }: TuneResult): string {
  if (state === 'already') return `${device} is cheap to open already: ${cost(before)}`
  return `tuned ${device}\n${rows([
    ['before', cost(before)],
    ['after', cost(after)],
  ])}`
}

function otherSlot(device: string, slot: TuneResult['others'][number]): string {
  const found = `keyslot ${slot.number} is dear to try (${slotLine(slot)}), and this key does not open it`
  return `${found}; if no other key of yours does: cryptsetup luksKillSlot ${device} ${slot.number}`
}

function cost({ keyslots, milliseconds }: TuneResult['before']): string {
  return `${keyslots.map(slotLine).join('; ')}; opened in ${milliseconds} ms`
}
