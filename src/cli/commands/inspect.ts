import { VolsealError } from '../../core/errors.js'
import { type InspectResult, inspectImage } from '../../face/inspect.js'
import { act, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { FILE_CODES } from '../exit-codes.js'
import { rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  newCommand('inspect', {
    summary: "tell an image's format, sizes and what is unsafe about it, from its headers alone",
    example: 'volseal inspect image.raw',
    exitCodes: [...FILE_CODES, 'image-unsafe'],
  })
    .argument('<image>', 'image file')
    .addOption(jsonOption())
    .action(
      act(cli, 'inspect', async (image, _options) => {
        const report = await inspectImage(image)
        const unsafe = report.findings.find(({ level }) => level === 'unsafe')
        const error =
          unsafe === undefined ? undefined : new VolsealError('image-unsafe', unsafe.message)
        return { body: report, text: describe(report), error }
      }),
    )

function describe({ format, size, virtualSize, findings }: InspectResult): string {
  return rows([
    ['format', format],
    ['size', `${size} bytes`],
    ['virtual size', virtualSize === null ? 'unknown' : `${virtualSize} bytes`],
    ...findings.map(({ level, code, message }) => [level, `${code}: ${message}`] as const),
  ])
}
