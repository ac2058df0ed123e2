import { record } from '../../core/check.js'
import { type ErrorCode, type ErrorJson, VolsealError } from '../../core/errors.js'
import { readBytes } from './answer.js'
import type { HttpAnswer } from './http-client.js'

/** What a service answered instead of what was asked for. */
export interface ServiceRefusal {
  /** The service's name, such as `barbican`. */
  readonly service: string
  readonly status: number
  /** The service's own words, cleaned; empty when they are not shown. */
  readonly description: string
  /** The number under which the service's log has it (x-openstack-request-id). */
  readonly requestId: string | undefined
}

export interface ServiceErrorJson extends ErrorJson {
  http: { service: string; status: number; requestId?: string }
}

/** A refusal as an error: `http` keeps the status that a service answered with. */
export class ServiceError extends VolsealError {
  readonly http: ServiceRefusal

  constructor(code: ErrorCode, message: string, http: ServiceRefusal, hint?: string) {
    super(code, message, { hint })
    this.http = http
  }

  override toJSON(): ServiceErrorJson {
    const { service, status, requestId } = this.http
    const http = { service, status, ...(requestId === undefined ? {} : { requestId }) }
    return { ...super.toJSON(), http }
  }
}

/** Whether an error is a service's answer with that status. */
export function hasStatus(error: unknown, status: number): error is ServiceError {
  return error instanceof ServiceError && error.http.status === status
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'usage',
  401: 'forbidden',
  403: 'forbidden',
  404: 'not-found',
  409: 'busy',
  410: 'not-found',
  413: 'usage',
}

const REASONS: Readonly<Record<number, string>> = {
  300: 'Multiple Choices',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  406: 'Not Acceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** The error for a refusal; `attempt` says what was tried: `barbican does not list secrets`. */
export function serviceError(
  refusal: ServiceRefusal,
  attempt: string,
  { code, hint }: { code?: ErrorCode | undefined; hint?: string | undefined } = {},
): ServiceError {
  const { status, description, requestId } = refusal
  const reason = [status, REASONS[status]].filter(Boolean).join(' ')
  const words = description === '' ? '' : `: ${description}`
  const trace = requestId === undefined ? '' : ` (${requestId})`
  const message = `${attempt}: ${reason}${words}${trace}`
  return new ServiceError(code ?? CODES[status] ?? 'unavailable', message, refusal, hint)
}

/** Errors of services are a line or two; a proxy's may be a page. */
const MOST_BYTES = 64 * 1024
const MOST_CHARACTERS = 300

/** Reads why a service refuses. With `discreet`, nothing of its words: they may quote what was sent. */
export async function readRefusal(
  service: string,
  answer: HttpAnswer,
  { discreet = false }: { discreet?: boolean } = {},
): Promise<ServiceRefusal> {
  const { status } = answer
  const requestId = shortened(answer.header('x-openstack-request-id') ?? '', 80)
  const description = await readDescription(service, answer)
  return {
    service,
    status,
    description: shortened(discreet ? withoutQuotes(description) : description, MOST_CHARACTERS),
    requestId: requestId === '' ? undefined : requestId,
  }
}

async function readDescription(service: string, answer: HttpAnswer): Promise<string> {
  try {
    const bytes = await readBytes(answer, MOST_BYTES, service)
    return sentenceIn(bytes.toString('utf8'))
  } catch {
    // The status says more than the failure to read the rest.
    return ''
  }
}

/**
 * The sentence in an error's body. Barbican: `{title, description}`; keystone: `{error: {message}}`;
 * cinder: `{forbidden: {message}}`; glance: `{message}` or HTML.
 */
function sentenceIn(body: string): string {
  try {
    return sentence(JSON.parse(body)) ?? ''
  } catch {
    return body.replace(/^[\s\S]*<\/h1>/i, '')
  }
}

function sentence(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { description, message, ...others } = record(value, 'error')
  for (const found of [description, message]) if (typeof found === 'string') return found
  const inner = Object.values(others).filter((other) => typeof other === 'object')
  return inner.map((other) => sentence(other)).find((found) => found !== undefined)
}

/** Without tags, and on one line: it goes to terminals. */
export function shortened(text: string, most: number): string {
  const plain = text
    .replaceAll(/<[^>]*>/g, ' ')
    // Control characters, and those that change the direction of writing.
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .replace(/\.+$/, '')
  return plain.length > most ? `${plain.slice(0, most)} …` : plain
}

/** Sentences of Barbican that quote nothing of a request. */
const QUOTE_NOTHING =
  /attempt not allowed|quota has been reached|too large|not found|already has data|site administrator|content type|Invalid property: '\w+'/i

function withoutQuotes(description: string): string {
  const property = /Invalid property: '(\w+)'/.exec(description)?.[1]
  if (property !== undefined) return `the property ${property} is not accepted`
  return QUOTE_NOTHING.test(description) ? description : ''
}
