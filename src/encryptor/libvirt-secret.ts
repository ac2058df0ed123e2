import { randomUUID } from 'node:crypto'
import { type CommandResult, lastLine, runCommand } from '../core/command.js'
import { type ErrorCode, fromSystem, VolsealError } from '../core/errors.js'
import { withMemoryFile } from '../core/memory-file.js'
import type { Secret } from '../core/secret.js'
import { isXmlText, xmlText, xmlTextOf } from './xml-text.js'

/**
 * The only caller of virsh. Where QEMU itself decrypts a LUKS1 volume, which is nova's way for the
 * provider `luks`, it takes the passphrase from a secret of libvirt whose usage is the volume's id.
 */
export interface LibvirtSecret {
  readonly volumeId: string
  /** What opens the volume, 1 to 1024 bytes: for nova the key in lower-case hex. */
  readonly passphrase: Secret
  /**
   * As nova makes it: libvirt keeps it in clear below /etc/libvirt/secrets, and everybody who may
   * talk to libvirt can read it. Without, it lives in the daemon's memory and only QEMU gets it.
   */
  readonly persistent?: boolean | undefined
  /** `qemu:///system` when not given. */
  readonly uri?: string | undefined
}

const NOVAS_URI = 'qemu:///system'
/** virsh reads no more from a file. */
const MAX_BYTES = 1024
/** virsh itself waits for ever for a daemon that is stopped. */
const TIMEOUT_MS = 30_000

interface Connection {
  readonly uri: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes the secret of a volume, always anew: one that is there may hold an earlier key or be open to
 * more than it should. It keeps its UUID, by which the XML of a running guest may name it.
 *
 * What fails or is interrupted undefines it again. Killed in between, there is no secret, or one
 * without a value, which opens nothing; the same call mends it.
 *
 * @throws {VolsealError} `usage`, `unavailable`, `forbidden`
 */
export async function setLibvirtSecret(
  secret: LibvirtSecret,
  signal?: AbortSignal,
): Promise<{ uuid: string }> {
  const libvirt = { uri: secret.uri ?? NOVAS_URI, signal }
  requireTakable(secret, libvirt.uri)
  const existing = await findSecret(secret.volumeId, libvirt)
  if (existing !== undefined) await undefine(existing, libvirt)
  const uuid = existing ?? randomUUID()
  try {
    await define(uuid, secret, libvirt)
    await setValue(uuid, secret.passphrase, libvirt)
    return { uuid }
  } catch (error) {
    throw await undone(error, uuid, libvirt.uri)
  }
}

/**
 * Removes the secret of a volume, whoever made it; false when there is none.
 *
 * @throws {VolsealError} `usage`, `unavailable`, `forbidden`
 */
export async function removeLibvirtSecret(
  volumeId: string,
  uri: string = NOVAS_URI,
  signal?: AbortSignal,
): Promise<boolean> {
  requireVolumeId(volumeId)
  const libvirt = { uri, signal }
  const uuid = await findSecret(volumeId, libvirt)
  if (uuid === undefined) return false
  await undefine(uuid, libvirt)
  return true
}

function requireTakable({ volumeId, passphrase, persistent }: LibvirtSecret, uri: string): void {
  requireVolumeId(volumeId)
  if (passphrase.length === 0 || passphrase.length > MAX_BYTES) {
    throw new VolsealError(
      'usage',
      `libvirt takes passphrases of 1 to ${MAX_BYTES} bytes, got ${passphrase.length}`,
    )
  }
  // There the driver is part of virsh, and what is not on disk ends with it.
  if (persistent !== true && /^[^:]*:\/\/\/embed\b/.test(uri)) {
    throw new VolsealError('usage', `${uri}: without a daemon a secret can only be persistent`)
  }
}

function requireVolumeId(volumeId: string): void {
  if (volumeId !== '' && isXmlText(volumeId)) return
  throw new VolsealError('usage', `not a volume id: ${JSON.stringify(volumeId)}`)
}

/** virsh cannot look a secret up by its usage; its list does not say where a usage id ends. */
async function findSecret(volumeId: string, libvirt: Connection): Promise<string | undefined> {
  const { stdout } = await virsh(['secret-list'], 'cannot list the secrets', libvirt)
  const uuids = [...stdout.matchAll(/^ *([0-9a-f-]{36}) +volume /gm)].map(([, uuid]) => uuid)
  if (uuids.length === 0) return undefined
  const commands = uuids.map((uuid) => `secret-dumpxml ${uuid}`).join('; ')
  const secrets = await runVirsh([commands], libvirt)
  // One may have been removed since; virsh goes on with the next.
  if (secrets.exitCode !== 0 && !secrets.stderr.includes('Secret not found')) {
    throw failure(secrets, 'cannot read the secrets', libvirt)
  }
  return secrets.stdout
    .split('</secret>')
    .find((xml) => volumeIdIn(xml) === volumeId)
    ?.match(/<uuid>(.*?)<\/uuid>/)?.[1]
}

function volumeIdIn(xml: string): string | undefined {
  const text = xml.match(/<usage type=['"]volume['"]>\s*<volume>([^<]*)<\/volume>/)?.[1]
  return text === undefined ? undefined : xmlTextOf(text)
}

async function define(
  uuid: string,
  { volumeId, persistent = false }: LibvirtSecret,
  libvirt: Connection,
): Promise<void> {
  const flag = persistent ? 'no' : 'yes'
  const xml = `<secret ephemeral="${flag}" private="${flag}"><uuid>${uuid}</uuid><usage type="volume"><volume>${xmlText(volumeId)}</volume></usage></secret>\n`
  await withMemoryFile(Buffer.from(xml), async (path) => {
    await virsh(['secret-define', path], 'cannot define the secret', libvirt)
  })
}

/**
 * Through a file in memory, since virsh opens what it reads by name: that fails for Node's standard
 * input, a socket. At a FIFO it would wait for ever if we were killed.
 */
async function setValue(uuid: string, value: Secret, libvirt: Connection): Promise<void> {
  await withMemoryFile(value.bytes(), async (path) => {
    const args = ['secret-set-value', uuid, '--file', path, '--plain']
    await virsh(args, 'cannot set the value of the secret', libvirt)
  })
}

/**
 * Removes a secret that may be gone already. The driver without a daemon (`secret:///embed`) removes
 * it and then crashes (libvirt 9.0), so what counts is that it is gone.
 */
async function undefine(uuid: string, libvirt: Connection): Promise<void> {
  const removal = await runVirsh(['secret-undefine', uuid], libvirt)
  if (removal.exitCode === 0) return
  const look = await runVirsh(['secret-dumpxml', uuid], libvirt)
  if (look.exitCode !== 0 && look.stderr.includes('Secret not found')) return
  throw failure(removal, `cannot remove the secret ${uuid}`, libvirt)
}

/** Takes back what a failure has left, which no interruption may prevent; returns the error. */
async function undone(error: unknown, uuid: string, uri: string): Promise<VolsealError> {
  const reason = fromSystem(error, 'cannot set the secret')
  try {
    await undefine(uuid, { uri })
    return reason
  } catch {
    const hint = `remove what may be left of it: virsh -c '${uri}' secret-undefine ${uuid}`
    return new VolsealError(reason.code, reason.message, { hint, cause: reason.cause })
  }
}

async function virsh(
  args: readonly string[],
  what: string,
  libvirt: Connection,
): Promise<CommandResult> {
  const result = await runVirsh(args, libvirt)
  if (result.exitCode === 0) return result
  throw failure(result, what, libvirt)
}

async function runVirsh(
  args: readonly string[],
  { uri, signal }: Connection,
): Promise<CommandResult> {
  const env = { VIRSH_DEFAULT_CONNECT_URI: uri }
  return await runCommand('virsh', args, { signal, env, timeoutMs: TIMEOUT_MS })
}

/** What virsh says when it comes to nothing, and what to do about it. */
const FAILURES: readonly (readonly [said: RegExp, code: ErrorCode, hint: string])[] = [
  [
    /authentication|permission denied|access denied/i,
    'forbidden',
    'talk to libvirt as root or as a member of the group libvirt',
  ],
  [
    /failed to connect/,
    'unavailable',
    'is libvirtd (or virtqemud and virtsecretd) running, and is this the URI that nova uses?',
  ],
  [/not supported by the connection driver/, 'unavailable', 'choose a URI such as qemu:///system'],
]

function failure(result: CommandResult, what: string, { uri }: Connection): VolsealError {
  const [, code, hint] = FAILURES.find(([said]) => said.test(result.stderr)) ?? []
  const reason = lastLine(result).replace(/^error: /, '')
  return new VolsealError(code ?? 'unavailable', `${what} of libvirt at ${uri}: ${reason}`, {
    hint,
  })
}
