import { Option } from '@commander-js/extra-typings'
import { type ShownType, showVolumeType } from '../../face/volume-types.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { CLOUD_OPTIONS, openNamedCloud } from '../key-manager-options.js'
import { rows } from '../text.js'
import { describeSpec } from '../volume-type-text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('show', {
      summary: 'show a volume type and its encryption, or the commands that make the same',
      example: 'volseal volume-type show LUKS --as-commands --os-cloud admin',
      exitCodes: ['usage', 'forbidden', 'not-found', 'unavailable', 'interrupted'],
    }).argument('<type>', 'name or id'),
    CLOUD_OPTIONS,
  )
    .addOption(new Option('--as-commands', 'print the commands that make the same type elsewhere'))
    .addOption(jsonOption())
    .action(
      act(cli, 'volume-type-show', async (name, options) => {
        const cloud = await openNamedCloud(cli, options)
        try {
          const shown = await showVolumeType(cloud.cinder, name, { signal: cli.signal })
          const text = options.asCommands === true ? shown.commands.join('\n') : describe(shown)
          return { body: shown, text }
        } finally {
          await cloud.close()
        }
      }),
    )

function describe({ type, spec, projects }: ShownType): string {
  const { id, name, description, isPublic, extraSpecs } = type
  const listed = Object.entries(extraSpecs).map(([key, value]) => `${key}=${value}`)
  const all: [string, string][] = [
    ['name', name],
    ['id', id],
    ['description', description ?? ''],
    ['who may use it', isPublic ? 'everybody' : `the projects ${projects.join(', ') || '(none)'}`],
    ['properties', listed.join(', ')],
    ...(spec === null
      ? ([['encryption', 'none']] satisfies [string, string][])
      : describeSpec(spec)),
  ]
  return rows(all.filter(([, value]) => value !== ''))
}
