import { converseWith } from './conversation.js'
import type { Machine } from './machine.js'

const DRIVER = '/opt/volseal/test/harness/drive_os_brick.py'

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

/** As nova hands them on from the volume type and the volume; but for the key, only for formatting. */
const ENCRYPTION = {
  cipher: 'aes-xts-plain64',
  key_size: 256,
  encryption_key_id: '6f0ba5d4-0b46-4ad3-a0f4-2c9fd42d3c0e',
}

export type AskOsBrick = (request: OsBrickRequest) => Promise<OsBrickAnswer>

/** Has the machine's real os-brick (Debian's python3-os-brick) do its part, one after the other. */
export async function startOsBrick(machine: Machine): Promise<AskOsBrick> {
  const env = { PYTHONPATH: '/opt/volseal/integrations/os-brick' }
  const converse = await converseWith<OsBrickAnswer>(machine, ['/usr/bin/python3', DRIVER], env)
  return async (request) => await converse({ encryption: ENCRYPTION, ...request })
}
