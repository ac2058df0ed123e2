import { record } from '../../core/check.js'
import { type ErrorCode, VolsealError } from '../../core/errors.js'
import { malformed } from '../http/answer.js'
import { wait } from '../http/repeat.js'
import {
  hasStatus,
  type ServiceError,
  type ServiceRefusal,
  serviceError,
} from '../http/service-error.js'
import type { CallOptions, RequestBody, ServiceRequest, Session } from '../session.js'
import { type DownloadOptions, downloadImage } from './download.js'
import { type GlanceImage, imageBody, type NewImage, readImage } from './image.js'

/** The bytes of an image to be uploaded. */
export interface ImageContent {
  /** In bytes, when it is known beforehand: what comes must then be as long. */
  readonly size?: number | undefined
  /** The bytes from the first one. */
  readonly open: () => AsyncIterable<Uint8Array>
  /** Whether `open` may be called a second time: true of files, false of pipes. */
  readonly again: boolean
}

/** A change of one property; Glance refuses `replace` and `remove` of one that is not there (409). */
export type PropertyChange =
  | { readonly op: 'add' | 'replace'; readonly property: string; readonly value: string }
  | { readonly op: 'remove'; readonly property: string }

/** Which images `list` gives: Glance's filters such as `name`, `status`, `owner`, `visibility`. */
export type ImageFilter = Readonly<Record<string, string>>

/** Glance puts the rest of an upload into its store, and checks it, before it answers. */
const UPLOAD_ANSWER_MS = 15 * 60_000
const PAGE = 100

/** Glance's Image API v2. Errors are those of `Session.send`. */
export class Glance {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** Makes an image without content (status `queued`). */
  async create(image: NewImage, { signal }: CallOptions = {}): Promise<GlanceImage> {
    const body = jsonBody(imageBody(image))
    const request = { method: 'POST', path: ['images'], body, attempt: 'create an image' } as const
    return readImage(await this.#json({ ...request, signal }))
  }

  async show(id: string, { signal }: CallOptions = {}): Promise<GlanceImage> {
    const attempt = `show the image ${id}`
    return readImage(await this.#json({ method: 'GET', path: ['images', id], attempt, signal }))
  }

  /**
   * Images that are listed to the user, page by page, oldest first; the hidden ones follow. All that the
   * user may see are more: `listAll`.
   */
  async *list(filter: ImageFilter = {}, options: CallOptions = {}): AsyncGenerator<GlanceImage> {
    // Without the filter, Glance gives those that are not hidden; before Rocky, there are no others.
    yield* unrepeated([
      this.#pages(filter, options),
      this.#pages({ ...filter, os_hidden: 'true' }, options),
    ])
  }

  /** All images that the user may see, and may therefore use. */
  async *listAll(filter: ImageFilter = {}, options: CallOptions = {}): AsyncGenerator<GlanceImage> {
    yield* unrepeated([this.list(filter, options), this.listUnasked(filter, options)])
  }

  /**
   * Community and shared images. Without being asked for them, Glance leaves out community images of
   * other projects, also for administrators, and shared ones that the project has not accepted
   * (glance/db/sqlalchemy/api.py, `image_get_all`).
   */
  async *listUnasked(
    filter: ImageFilter = {},
    options: CallOptions = {},
  ): AsyncGenerator<GlanceImage> {
    for (const visibility of ['community', 'shared']) {
      try {
        yield* this.list({ ...filter, visibility, member_status: 'all' }, options)
      } catch (error) {
        // Glance before Ocata knows no community images: "Invalid visibility value".
        const isUnknown = hasStatus(error, 400) && /visibility/i.test(error.http.description)
        if (!isUnknown) throw error
      }
    }
  }

  async *#pages(filter: ImageFilter, { signal }: CallOptions): AsyncGenerator<GlanceImage> {
    const seen = new Set<string>()
    const query = { ...filter, limit: String(PAGE), sort: 'created_at:asc,id:asc' }
    let marker: string | undefined
    do {
      const page = { ...query, ...(marker === undefined ? {} : { marker }) }
      const request = { method: 'GET', path: ['images'], attempt: 'list images' } as const
      const answer = record(await this.#json({ ...request, query: page, signal }), 'images')
      if (!Array.isArray(answer['images'])) throw malformed('glance', 'a list of images')
      const images = answer['images'].map((image: unknown) => readImage(image))
      const fresh = images.filter(({ id }) => !seen.has(id))
      for (const { id } of fresh) seen.add(id)
      yield* fresh
      // The address in `next` may be anywhere; the marker is all that is new in it.
      marker = typeof answer['next'] === 'string' ? fresh.at(-1)?.id : undefined
    } while (marker !== undefined)
  }

  /** Uploads the content of a `queued` image; the image is `active` afterwards. */
  async upload(id: string, content: ImageContent, { signal }: CallOptions = {}): Promise<void> {
    const body: RequestBody = { type: 'application/octet-stream', ...content }
    const attempt = `take the content of the image ${id}`
    await this.#session.done(
      'image',
      {
        method: 'PUT',
        path: ['images', id, 'file'],
        body,
        attempt,
        // What a second one meets depends on how far the first has come.
        idempotent: false,
        answerWithin: UPLOAD_ANSWER_MS,
        signal,
      },
      (refusal) => explain(refusal, attempt),
    )
  }

  /** The content of an image, resumed where the connection is lost; to be read once. */
  download(id: string, options: DownloadOptions = {}): AsyncGenerator<Buffer> {
    return downloadImage(this.#session, id, options)
  }

  /**
   * Changes properties, all of them or none. Glance knows no `test` of a value: whether something else
   * was changed meanwhile is seen in what it returns. With `exactly`, at least what is added must not be
   * there (409); `replace` and `remove` want it to be there always.
   */
  async change(
    id: string,
    changes: readonly PropertyChange[],
    { signal, exactly = false }: CallOptions & { exactly?: boolean } = {},
  ): Promise<GlanceImage> {
    const answer = await this.#json({
      method: 'PATCH',
      path: ['images', id],
      body: exactly ? exactPatch(changes) : patch(changes),
      attempt: `change the image ${id}`,
      idempotent: !exactly && changes.every(({ op }) => op !== 'remove'),
      signal,
    })
    return readImage(answer)
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    const attempt = `delete the image ${id}`
    const request = { method: 'DELETE', path: ['images', id], attempt, signal } as const
    await this.#session.done('image', request, (refusal) => explain(refusal, attempt))
  }

  /** Waits until an image has one of the statuses. @throws {VolsealError} `unavailable` after `within` ms */
  async waitFor(
    id: string,
    statuses: readonly string[],
    { signal, within = 600_000 }: CallOptions & { within?: number } = {},
  ): Promise<GlanceImage> {
    const end = performance.now() + within
    for (let pause = 250; ; pause = Math.min(pause * 1.5, 5000)) {
      const image = await this.show(id, { signal })
      if (statuses.includes(image.status)) return image
      const isOver = HOPELESS.includes(image.status) || performance.now() > end
      if (isOver) throw otherStatus(image, statuses)
      await wait(pause, signal)
    }
  }

  async #json(request: ServiceRequest): Promise<unknown> {
    return await this.#session.json('image', request, (refusal) =>
      explain(refusal, request.attempt),
    )
  }
}

/** Each image once, of lists that may have some in common. */
async function* unrepeated(
  lists: readonly AsyncIterable<GlanceImage>[],
): AsyncGenerator<GlanceImage> {
  const seen = new Set<string>()
  for (const list of lists) {
    for await (const image of list) {
      if (!seen.has(image.id)) yield image
      seen.add(image.id)
    }
  }
}

/** JSON Patch as RFC 6902 has it, where `add` also replaces. */
function patch(changes: readonly PropertyChange[]): { type: string; bytes: Buffer } {
  const operations = changes.map(({ property, ...change }) => ({
    ...change,
    path: pathOf(property),
  }))
  return { ...jsonBody(operations), type: 'application/openstack-images-v2.1-json-patch' }
}

/** Glance's older form, whose `add` refuses what is there (glance/api/v2/images.py, `_do_add`). */
function exactPatch(changes: readonly PropertyChange[]): { type: string; bytes: Buffer } {
  const operations = changes.map(({ op, property, ...value }) => ({
    [op]: pathOf(property),
    ...value,
  }))
  return { ...jsonBody(operations), type: 'application/openstack-images-v2.0-json-patch' }
}

/** A property as a JSON pointer (RFC 6901). */
function pathOf(property: string): string {
  return `/${property.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

const HOPELESS: readonly string[] = ['killed', 'deleted', 'pending_delete']

function otherStatus({ id, status }: GlanceImage, statuses: readonly string[]): VolsealError {
  const expected = statuses.join(' or ')
  return new VolsealError(
    'unavailable',
    `the image ${id}: expected it ${expected}, it is ${status}`,
  )
}

function jsonBody(value: unknown): { type: string; bytes: Buffer } {
  return { type: 'application/json', bytes: Buffer.from(JSON.stringify(value)) }
}

/** Where Glance's status alone says too little. */
function explain(refusal: ServiceRefusal, attempt: string): ServiceError | undefined {
  const { status, description } = refusal
  const what = `glance did not ${attempt}`
  if (status === 413) {
    const hint = 'free space in its store, or have the quota raised'
    return serviceError(refusal, what, { code: 'io', hint })
  }
  if (status === 415) return serviceError(refusal, what, { code: 'image-unsafe' })
  const about = /signature verification (failed|for the image failed: unable to retrieve)?/i.exec(
    status === 400 ? description : '',
  )
  if (about !== null) return serviceError(refusal, what, { code: signatureCode(about[1]) })
  if (status === 403 && /publicize_image/.test(description)) {
    const hint = 'only administrators make images public; community and shared are for everybody'
    return serviceError(refusal, what, { hint })
  }
  if (status === 403 && /protected/i.test(description)) {
    return serviceError(refusal, what, { hint: 'openstack image set --unprotected allows it' })
  }
  return undefined
}

/** "Signature verification failed", or "… for the image failed:" with why nobody could verify it (cursive). */
function signatureCode(how: string | undefined): ErrorCode {
  if (how === undefined) return 'signature-malformed'
  return how.toLowerCase() === 'failed' ? 'signature-mismatch' : 'unavailable'
}
