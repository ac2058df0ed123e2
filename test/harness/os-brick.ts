import type { Machine } from './machine.js'

/** os-brick, which attaches encrypted volumes for nova and cinder: the peer of our volumes. */
export interface OsBrickRequest {
  readonly action: 'attach' | 'extend' | 'detach'
  /** A format, or the path of a Python class. */
  readonly provider: string
  /** A link to the volume's device; os-brick makes it lead to the decrypted side. */
  readonly device: string
  /** Hex. */
  readonly key: string
  readonly volumeId?: string
  /** What stands in nova.conf. */
  readonly configuration?: string
}

export interface OsBrickAnswer {
  /** What it ran, each with its exit code. */
  readonly commands: readonly (readonly [argv: readonly string[], exitCode: number])[]
  readonly result?: unknown
  /** What it raised. */
  readonly error?: string
}

/** As nova hands them on from the volume type; only formatting needs them. */
const ENCRYPTION = { cipher: 'aes-xts-plain64', key_size: 256 }

/** Has the machine's real os-brick (Debian's python3-os-brick) do its part. */
export async function askOsBrick(
  machine: Machine,
  request: OsBrickRequest,
): Promise<OsBrickAnswer> {
  const { exitCode, stdout, stderr } = await machine.run(
    '/usr/bin/python3',
    ['/opt/volseal/test/harness/drive_os_brick.py'],
    {
      input: JSON.stringify({ encryption: ENCRYPTION, ...request }),
      env: { PYTHONPATH: '/opt/volseal/integrations/os-brick' },
    },
  )
  if (exitCode !== 0) throw new Error(stderr)
  const answer: OsBrickAnswer = JSON.parse(stdout)
  return answer
}
