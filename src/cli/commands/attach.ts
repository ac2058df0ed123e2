import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../../core/errors.js'
import { attachVolume, createEncryptor } from '../../face/attach.js'
import {
  ACCESS_OPTIONS,
  type AccessChoice,
  connectionOptions,
  deviceOptions,
  readConnectionInfo,
  readMetadata,
  refuseBeside,
  withKeySource,
} from '../attach-options.js'
import { describeAttached } from '../attach-text.js'
import {
  act,
  addOptions,
  jsonOption,
  type MakeCommand,
  newCommand,
  progressOption,
  withProgress,
} from '../cli.js'
import { KEY_MANAGER_OPTIONS } from '../key-manager-options.js'
import { attachThroughLibvirt, LIBVIRT_OPTIONS, type LibvirtChoice } from '../libvirt-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('attach', {
      summary: 'open an encrypted volume, as os-brick does when a guest gets it',
      example: 'volseal attach /dev/vdb --key-id "$KEY_ID"',
      exitCodes: [
        'usage',
        'wrong-key',
        'not-blank',
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
      .argument('[device]', 'path the volume is connected at')
      .option('--link <path>', 'link that is to lead to the decrypted side')
      .option('--first-use <volume-id>', 'your word that this volume was never used: format it')
      .addOption(
        new Option('--evidence <kind>', 'of a first use; vouched: it may hold old bytes')
          .choices(['blank', 'vouched'] as const)
          .default('blank' as const),
      )
      .addOption(
        new Option('--scan <extent>', 'how much is read to see that it is blank')
          .choices(['sample', 'full'] as const)
          .default('sample' as const),
      )
      .option('--discard', 'let discards through, which shows the storage what is in use')
      .option('--no-read-workqueue', 'decrypt without a work queue, which is faster on SSDs')
      .option('--no-write-workqueue', 'encrypt without a work queue')
      .option('--persistent', "nova's form of --libvirt-secret: on disk in clear, readable by all"),
    ACCESS_OPTIONS,
    LIBVIRT_OPTIONS,
    KEY_MANAGER_OPTIONS,
  )
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(
      act(cli, 'attach', async (device, options) => {
        const { link, firstUse: volumeId, evidence, scan, discard } = options
        refuseMixture(options)
        if (options.libvirtSecret !== undefined) {
          return await withKeySource(
            cli,
            options,
            undefined,
            async (source) => await attachThroughLibvirt(cli, device, options, source),
          )
        }
        const connectionInfo = await readConnectionInfo(cli, device, options)
        const metadata = await readMetadata(cli, options)
        const shared = {
          firstUse: volumeId === undefined ? undefined : { volumeId, evidence, scan },
          discard,
          noReadWorkqueue: !options.readWorkqueue,
          noWriteWorkqueue: !options.writeWorkqueue,
          signal: cli.signal,
        }
        const result = await withProgress(
          cli,
          options.progress,
          async (progress) =>
            await withKeySource(cli, options, metadata, async ({ keyManager, ...key }) => {
              const choice = { ...key, ...shared, onScanProgress: progress.phase('scanning') }
              if (device !== undefined) {
                const volume = { ...deviceOptions(options), device, link, keyManager }
                return await attachVolume({ ...volume, ...choice })
              }
              const encryptor = { ...connectionOptions(options), ...choice }
              return await createEncryptor(connectionInfo, metadata, keyManager, encryptor).attach()
            }),
        )
        return { body: result, text: describeAttached(result) }
      }),
    )

interface AttachChoice extends AccessChoice, LibvirtChoice {
  readonly link?: string | undefined
  readonly firstUse?: string | undefined
  readonly discard?: true | undefined
  readonly readWorkqueue: boolean
  readonly writeWorkqueue: boolean
  readonly persistent?: true | undefined
}

/** What is silently left out is taken for done. */
function refuseMixture(options: AttachChoice): void {
  const { link, firstUse, connectionInfo, provider, plainHash, persistent } = options
  if (options.libvirtSecret !== undefined) {
    refuseBeside('--libvirt-secret, which opens nothing here', {
      '--connection-info': connectionInfo,
      '--encryption': options.encryption,
      '--provider': provider,
      '--plain-hash': plainHash,
      '--first-use': firstUse,
      '--from-token': options.fromToken,
      '--link': link,
      '--discard': options.discard,
      '--no-read-workqueue': !options.readWorkqueue,
      '--no-write-workqueue': !options.writeWorkqueue,
    })
  } else if (persistent === true) {
    throw new VolsealError('usage', '--persistent belongs to --libvirt-secret')
  }
  if (connectionInfo !== undefined) {
    refuseBeside('--connection-info, whose path is the link', { '--link': link })
  }
  if (provider === 'plain')
    refuseBeside('--provider plain, which formats nothing', { '--first-use': firstUse })
}
