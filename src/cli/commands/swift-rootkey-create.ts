import { Option } from '@commander-js/extra-typings'
import { act, addOptions, jsonOption, type MakeCommand, newCommand, note } from '../cli.js'
import { CLOUD_OPTIONS, openNamedCloud } from '../key-manager-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('create', {
      summary:
        "have Barbican draw Swift's root secret, and print the lines of keymaster.conf; the cloud's user is the one that Swift will read it as",
      example: 'volseal swift rootkey create --os-cloud swift',
      exitCodes: ['usage', 'forbidden', 'not-found', 'unavailable', 'io', 'interrupted'],
    }),
    CLOUD_OPTIONS,
  )
    .addOption(
      new Option('--name <name>', "the secret's name in Barbican").default('swift root secret'),
    )
    .addOption(jsonOption())
    .action(
      act(cli, 'swift-rootkey-create', async ({ name, json, ...choice }) => {
        const { createRootKey } = await import('../../face/new-root-key.js')
        const cloud = await openNamedCloud(cli, choice)
        try {
          const made = await createRootKey(cloud, name)
          if (json !== true) {
            note(cli, 'add the password; whoever deletes the secret deletes all encrypted objects')
          }
          return { body: made, text: made.keymasterConf.join('\n') }
        } finally {
          await cloud.close()
        }
      }),
    )
