/**
 * Every way volseal can fail, by name. The command line gives each its own exit code
 * (`cli/exit-codes.ts`); a library caller switches over `error.code`.
 */
export type ErrorCode =
  /** A defect of volseal itself. */
  | 'internal'
  /** A wrong option or argument. */
  | 'usage'
  /** The image is not what was signed. */
  | 'signature-mismatch'
  /** None, or not all, of the four signature properties are there. */
  | 'unsigned'
  /** A property, the key or the certificate cannot be used for signing or verifying. */
  | 'signature-malformed'
  /** The certificate is not acceptable, or nobody vouched for it. */
  | 'certificate-untrusted'
  /** The image's format is unsafe, or not the claimed one. */
  | 'image-unsafe'
  /** The image could not be checked; `cause` says why. */
  | 'unchecked'
  /** The signature is valid, but strict clouds refuse it. */
  | 'signature-incompatible'
  /** The policy does not allow the image, whatever its signature is. */
  | 'policy-refused'
  /** The key does not open the volume. */
  | 'wrong-key'
  /** Formatting refused: the device holds, or may hold, data. */
  | 'not-blank'
  /** In use by somebody else. */
  | 'busy'
  /** The device is missing, or cannot be encrypted here. */
  | 'no-device'
  /** A LUKS header or LUKS magic is there, but unusable, suspicious or unsupported. */
  | 'header-damaged'
  /** The target cannot hold it. */
  | 'too-small'
  /** Not authenticated, or not allowed. */
  | 'forbidden'
  /** A secret, image, file or volume does not exist. */
  | 'not-found'
  /** A service or a program that is needed does not answer, or is not there. */
  | 'unavailable'
  /** The local key store is damaged, or its key is wrong. */
  | 'keystore-damaged'
  /** Some of many items failed. */
  | 'incomplete'
  /** A read or write error; the disk is full. */
  | 'io'
  /** Stopped by SIGINT. */
  | 'interrupted'
  /** Stopped by SIGTERM. */
  | 'terminated'

export interface ErrorOptions {
  /** What the user can do about it: one sentence. */
  hint?: string | undefined
  cause?: unknown
  /** What was made and could not be taken back, and why; `hint` says it as well. */
  left?: readonly string[] | undefined
}

/** JSON form of an error, as it stands in the `error` field of every `--json` answer. */
export interface ErrorJson {
  code: ErrorCode
  message: string
  hint?: string
  cause?: { code: ErrorCode; message: string }
  left?: readonly string[]
}

/**
 * The one error class of volseal. `message` says what was expected and what came, in lower case
 * and without a full stop; `hint` says what to do. Neither ever holds a secret.
 */
export class VolsealError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly left: readonly string[] | undefined

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'VolsealError'
    this.code = code
    this.hint = options.hint
    this.left = options.left
  }

  toJSON(): ErrorJson {
    const { code, message, hint, cause, left } = this
    const json: ErrorJson = { code, message }
    if (hint !== undefined) json.hint = hint
    if (cause instanceof VolsealError) json.cause = { code: cause.code, message: cause.message }
    if (left !== undefined) json.left = left
    return json
  }
}

/** An error in other words: of its kind, and with all else that it carries (`http`, `report`). */
export function retold(
  error: VolsealError,
  words: { readonly message?: string; readonly hint?: string; readonly left?: readonly string[] },
): VolsealError {
  // A copy: the reason of a signal is the error of everything that it stops.
  const copy = new VolsealError(error.code, error.message)
  Object.setPrototypeOf(copy, Object.getPrototypeOf(error))
  Object.defineProperties(copy, Object.getOwnPropertyDescriptors(error))
  return Object.assign(copy, words)
}

/** The error with one more hint, behind the one that it has. */
export function hinting(error: VolsealError, more: string): VolsealError {
  return retold(error, { hint: error.hint === undefined ? more : `${error.hint}; ${more}` })
}

/** The error, which also says what is left behind of what was begun. */
export function leaving(error: VolsealError, left: readonly string[]): VolsealError {
  if (left.length === 0) return error
  return retold(hinting(error, left.join('; ')), { left: [...(error.left ?? []), ...left] })
}

/** System error codes (errno(3)) that mean something other than plain `io`. */
const SYSTEM_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  ENXIO: 'not-found',
  EACCES: 'forbidden',
  EPERM: 'forbidden',
  EROFS: 'forbidden',
  EBUSY: 'busy',
  EISDIR: 'usage',
}

const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'a part of the path is not a directory',
  ENXIO: 'it is a socket, or there is no such device',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  EBUSY: 'it is in use',
  EISDIR: 'it is a directory',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would become too large',
  EIO: 'the device reports an input/output error',
}

/** The errno name of a thrown value, such as `ENOENT`; undefined when it has none. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/**
 * A system error as one of ours: `what` names the attempt (`cannot read key.pem`). An error that
 * is ours already is returned as it is.
 */
export function fromSystem(error: unknown, what: string, hint?: string): VolsealError {
  if (error instanceof VolsealError) return error
  const code = systemCode(error)
  const reason = SYSTEM_REASONS[code ?? ''] ?? (error instanceof Error ? error.message : 'failed')
  // What is no errno (a TypeError, an ERR_INVALID_ARG_TYPE) is our own defect, not the system's.
  const fallback = code === undefined || code.startsWith('ERR_') ? 'internal' : 'io'
  return new VolsealError(SYSTEM_CODES[code ?? ''] ?? fallback, `${what}: ${reason}`, {
    hint,
    cause: error,
  })
}

/** Anything thrown as one of ours; a defect stays one. */
export function asError(error: unknown): VolsealError {
  return fromSystem(error, 'something failed')
}

/** Throws the reason of an aborted signal; a reason that is not ours becomes `interrupted`. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal)
}

/** The error that an aborted operation ends with. */
export function abortReason(signal: AbortSignal): VolsealError {
  if (signal.reason instanceof VolsealError) return signal.reason
  return new VolsealError('interrupted', 'interrupted', { cause: signal.reason })
}
