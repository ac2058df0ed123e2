import { VolsealError } from '../../core/errors.js'
import { type DeletedImage, deleteImage, type KeyFate } from '../../face/delete-image.js'
import { act, addOptions, type Cli, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { CLOUD_OPTIONS, type CloudChoice, openNamedCloud } from '../key-manager-options.js'
import { overMany } from '../many.js'
import type { Outcome } from '../output.js'
import { indent, rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('delete', {
      summary: 'delete images in Glance, and the keys that go with them',
      example: 'volseal images delete "$IMAGE_ID" --os-cloud ops',
      exitCodes: [
        'usage',
        'busy',
        'forbidden',
        'not-found',
        'unavailable',
        'incomplete',
        'interrupted',
      ],
    })
      .argument('<image...>', "the images' ids in Glance; glance:ID is the same")
      .option('--keep-key', 'of encrypted images: leave their keys in Barbican'),
    CLOUD_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'images-delete', async (images, options) => await deleteAll(cli, images, options)),
    )

interface DeleteChoice extends CloudChoice {
  readonly keepKey?: true | undefined
  readonly json?: true | undefined
}

async function deleteAll(
  cli: Cli,
  images: readonly string[],
  choice: DeleteChoice,
): Promise<Outcome> {
  const { keepKey } = choice
  const { signal } = cli
  const cloud = await openNamedCloud(cli, choice)
  try {
    return await overMany(cli, images, choice, async (image) => {
      const { storedImageId } = await import('../../face/glance-image.js')
      const imageId = storedImageId(image)
      const deleted = await deleteImage({ cloud, imageId, keepKey, signal })
      return { body: deleted, text: describe(deleted), error: leftKey(deleted) }
    })
  } finally {
    await cloud.close()
  }
}

const FATES: Readonly<Record<KeyFate, string>> = {
  deleted: 'deleted',
  missing: 'was not there',
  kept: 'kept',
  left: 'left: it could not be deleted',
}

function describe({ imageId, name, encryptionKey, certificate }: DeletedImage): string {
  const facts: [string, string][] = []
  if (encryptionKey !== null) {
    facts.push(['key', `${encryptionKey.id} ${FATES[encryptionKey.fate]}`])
  }
  if (certificate !== null) {
    const { id, images } = certificate
    const others = images?.length === 0 ? 'no image' : `${images?.length ?? 'perhaps'} more`
    facts.push(['certificate', `${id} kept; ${others} signed with it`])
  }
  const headline = `deleted ${imageId}${name === null ? '' : ` (${name})`}`
  return facts.length === 0 ? headline : `${headline}\n${indent(rows(facts))}`
}

/** Who may delete an image may not always delete a key, and then Glance only logs it. */
function leftKey({ imageId, encryptionKey }: DeletedImage): VolsealError | undefined {
  if (encryptionKey?.fate !== 'left') return undefined
  const { id } = encryptionKey
  return new VolsealError('incomplete', `${imageId} is deleted, but its key ${id} is left`, {
    hint: `somebody of its project deletes it: volseal secret delete ${id}`,
  })
}
