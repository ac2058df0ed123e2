import { systemCode, VolsealError } from '../../core/errors.js'

/** How an exchange ended without an answer, or with half of one. */
export type FailureKind =
  /** Nothing was sent: it may be tried again, whatever it is. */
  | 'unsent'
  /** The connection ended in the middle; the service may have done what was asked, or not. */
  | 'cut'
  /** Nothing came for too long. */
  | 'silent'
  /** The other side's certificate is not trusted. */
  | 'untrusted'
  /** What came is no HTTP, or no TLS. */
  | 'foreign'

/** A service that could not be asked, or did not answer to the end. */
export class ConnectionFailure extends VolsealError {
  readonly kind: FailureKind

  constructor(kind: FailureKind, message: string, options: { hint?: string; cause: unknown }) {
    super('unavailable', message, options)
    this.kind = kind
  }
}

/** Codes of Node (errno(3), tls) and of undici. */
const REASONS: Readonly<Record<string, readonly [FailureKind, string]>> = {
  ECONNREFUSED: ['unsent', 'nobody listens there'],
  ENOTFOUND: ['unsent', 'the host name is not known'],
  EAI_AGAIN: ['unsent', 'the host name cannot be looked up now'],
  EHOSTUNREACH: ['unsent', 'there is no way to the host'],
  ENETUNREACH: ['unsent', 'there is no way to its network'],
  ETIMEDOUT: ['unsent', 'no connection within the time'],
  UND_ERR_CONNECT_TIMEOUT: ['unsent', 'no connection within the time'],
  ECONNRESET: ['cut', 'the connection was cut'],
  EPIPE: ['cut', 'the connection was cut'],
  UND_ERR_SOCKET: ['cut', 'the connection was cut'],
  UND_ERR_ABORTED: ['cut', 'the connection was closed'],
  UND_ERR_DESTROYED: ['cut', 'the connection was closed'],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ['cut', 'the answer is shorter or longer than announced'],
  UND_ERR_HEADERS_TIMEOUT: ['silent', 'no answer within the time'],
  UND_ERR_BODY_TIMEOUT: ['silent', 'the answer stopped in the middle'],
  CERT_HAS_EXPIRED: ['untrusted', 'its certificate has expired'],
  CERT_NOT_YET_VALID: ['untrusted', 'its certificate is not valid yet'],
  ERR_TLS_CERT_ALTNAME_INVALID: ['untrusted', 'its certificate is for another host'],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['untrusted', 'its certificate is self-signed'],
  SELF_SIGNED_CERT_IN_CHAIN: ['untrusted', 'its certificate comes from an unknown authority'],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [
    'untrusted',
    'its certificate comes from an unknown authority',
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['untrusted', 'its certificate comes from an unknown authority'],
  EPROTO: ['foreign', 'it does not speak TLS as expected'],
  ERR_SSL_WRONG_VERSION_NUMBER: ['foreign', 'it does not speak TLS'],
  ERR_SSL_PACKET_LENGTH_TOO_LONG: ['foreign', 'it does not speak TLS'],
  UND_ERR_HEADERS_OVERFLOW: ['foreign', 'its answer has too many headers'],
}

const HINTS: Readonly<Partial<Record<FailureKind, string>>> = {
  untrusted: "name the authority's file with cacert in clouds.yaml, or in OS_CACERT",
  foreign: 'is the address right, http or https?',
  cut: 'what was asked may have been done all the same',
  silent: 'what was asked may have been done all the same',
}

/** What undici throws, as an error of ours; only the origin of the address is shown. */
export function connectionFailure(error: unknown, url: URL): ConnectionFailure {
  const [kind, reason] = refusedByProxy(error) ?? reasonOf(error)
  const hint = HINTS[kind]
  return new ConnectionFailure(kind, `${url.origin}: ${reason}`, {
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  })
}

function reasonOf(error: unknown): readonly [FailureKind, string] {
  const code = systemCode(error) ?? ''
  const known = REASONS[code] ?? unknown(code, error)
  return known[0] === 'unsent' && isUnderWay(error) ? UNDER_WAY : known
}

/** undici says it with no code of its own. */
function refusedByProxy(error: unknown): readonly [FailureKind, string] | undefined {
  const status = /^Proxy response \((\d+)\)/.exec(error instanceof Error ? error.message : '')?.[1]
  return status === undefined
    ? undefined
    : ['unsent', `the proxy refused the way there (${status})`]
}

const UNDER_WAY: readonly [FailureKind, string] = ['cut', 'the connection was lost']

/** A time-out of a connection that was there: something may have been sent. Errors of connecting are none. */
function isUnderWay(error: unknown): boolean {
  if (!(error instanceof Error) || !('syscall' in error)) return false
  return error.syscall === 'read' || error.syscall === 'write'
}

function unknown(code: string, error: unknown): readonly [FailureKind, string] {
  if (code.startsWith('HPE_')) return ['foreign', 'what it says is no HTTP']
  if (code.startsWith('ERR_SSL_')) return ['foreign', `TLS failed (${code})`]
  // Parts of a request may stand in messages that are not known here.
  const name = code === '' && error instanceof Error ? error.name : code
  return ['cut', `the exchange failed (${name})`]
}
