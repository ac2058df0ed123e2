import { readBytes } from '../http/answer.js'
import type { CallOptions, RequestBody, Session } from '../session.js'

/** Objects that are held whole are small. */
const MOST_BYTES = 16 * 1024 * 1024

/** The little of Swift's Object Storage API v1 that is needed. Errors are those of `Session.send`. */
export class Swift {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** Makes a container; one that is there stays as it is. */
  async createContainer(container: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#done('PUT', [container], `make the container ${container}`, { signal })
  }

  async put(
    container: string,
    object: string,
    bytes: Buffer,
    { signal }: CallOptions = {},
  ): Promise<void> {
    const body = { type: 'application/octet-stream', bytes }
    await this.#done('PUT', [container, object], `store the object ${object}`, { body, signal })
  }

  async get(container: string, object: string, { signal }: CallOptions = {}): Promise<Buffer> {
    const attempt = `give the object ${object}`
    const request = { method: 'GET', path: [container, object], attempt, signal } as const
    const answer = await this.#session.send('object-store', request)
    return await readBytes(answer, MOST_BYTES, 'swift')
  }

  async delete(container: string, object: string): Promise<void> {
    await this.#done('DELETE', [container, object], `delete the object ${object}`)
  }

  /** Deletes an empty container. */
  async deleteContainer(container: string): Promise<void> {
    await this.#done('DELETE', [container], `delete the container ${container}`)
  }

  async #done(
    method: 'PUT' | 'DELETE',
    path: string[],
    attempt: string,
    more: { body?: RequestBody; signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    await this.#session.done('object-store', { method, path, attempt, ...more })
  }
}
