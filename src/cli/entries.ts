import type { MakeCommand } from './cli.js'

/**
 * The command tree. A command's module is loaded only when it is chosen: most take longer to load
 * than they run.
 */
export interface Entry {
  readonly path: string
  readonly summary: string
  readonly load: () => Promise<{ makeCommand: MakeCommand }>
}

export const ENTRIES: readonly Entry[] = [
  {
    path: 'keypair create',
    summary: 'make a signing key',
    load: async () => await import('./commands/keypair-create.js'),
  },
  {
    path: 'cert create',
    summary: 'make a certificate for a signing key',
    load: async () => await import('./commands/cert-create.js'),
  },
  {
    path: 'cert request',
    summary: 'make a certificate request',
    load: async () => await import('./commands/cert-request.js'),
  },
  {
    path: 'cert inspect',
    summary: 'show a certificate',
    load: async () => await import('./commands/cert-inspect.js'),
  },
  {
    path: 'cert check',
    summary: 'does a trusted certificate vouch for one?',
    load: async () => await import('./commands/cert-check.js'),
  },
  {
    path: 'secret put',
    summary: 'keep a certificate, key or passphrase',
    load: async () => await import('./commands/secret-put.js'),
  },
  {
    path: 'secret create',
    summary: 'draw a key at random',
    load: async () => await import('./commands/secret-create.js'),
  },
  {
    path: 'secret get',
    summary: "print a secret's bytes",
    load: async () => await import('./commands/secret-get.js'),
  },
  {
    path: 'secret show',
    summary: 'show what is known of a secret',
    load: async () => await import('./commands/secret-show.js'),
  },
  {
    path: 'secret list',
    summary: 'list secrets',
    load: async () => await import('./commands/secret-list.js'),
  },
  {
    path: 'secret delete',
    summary: 'delete a secret',
    load: async () => await import('./commands/secret-delete.js'),
  },
  {
    path: 'secret orphans',
    summary: 'find keys and certificates that nothing refers to',
    load: async () => await import('./commands/secret-orphans.js'),
  },
  {
    path: 'keystore check',
    summary: 'check the local key store',
    load: async () => await import('./commands/keystore-check.js'),
  },
  {
    path: 'keystore backup',
    summary: 'copy the local key store',
    load: async () => await import('./commands/keystore-backup.js'),
  },
  {
    path: 'keystore rekey',
    summary: 'change the key of the local key store',
    load: async () => await import('./commands/keystore-rekey.js'),
  },
  {
    path: 'sign',
    summary: 'sign images',
    load: async () => await import('./commands/sign.js'),
  },
  {
    path: 'verify',
    summary: 'check images against their signatures',
    load: async () => await import('./commands/verify.js'),
  },
  {
    path: 'inspect',
    summary: "tell an image's format and what is unsafe about it",
    load: async () => await import('./commands/inspect.js'),
  },
  {
    path: 'write',
    summary: 'verify an image, then write it into a file, device or volume',
    load: async () => await import('./commands/write.js'),
  },
  {
    path: 'attach',
    summary: 'open an encrypted volume',
    load: async () => await import('./commands/attach.js'),
  },
  {
    path: 'detach',
    summary: 'close it',
    load: async () => await import('./commands/detach.js'),
  },
  {
    path: 'extend',
    summary: 'make it as large as its device',
    load: async () => await import('./commands/extend.js'),
  },
  {
    path: 'status',
    summary: 'show what is open',
    load: async () => await import('./commands/status.js'),
  },
  {
    path: 'gc',
    summary: 'close what was left open',
    load: async () => await import('./commands/gc.js'),
  },
  {
    path: 'luks format',
    summary: 'make a blank device a LUKS volume',
    load: async () => await import('./commands/luks-format.js'),
  },
  {
    path: 'luks inspect',
    summary: "show a LUKS volume's header",
    load: async () => await import('./commands/luks-inspect.js'),
  },
  {
    path: 'luks check',
    summary: 'does a key open a volume? is a header backup whole?',
    load: async () => await import('./commands/luks-check.js'),
  },
  {
    path: 'luks rekey',
    summary: 'give a volume another key',
    load: async () => await import('./commands/luks-rekey.js'),
  },
  {
    path: 'luks tune',
    summary: 'make a volume cheap to open',
    load: async () => await import('./commands/luks-tune.js'),
  },
  {
    path: 'luks backup',
    summary: "keep a volume's header",
    load: async () => await import('./commands/luks-backup.js'),
  },
  {
    path: 'luks restore',
    summary: "put a volume's header back",
    load: async () => await import('./commands/luks-restore.js'),
  },
  {
    path: 'images list',
    summary: 'list images in Glance and the state of their signatures',
    load: async () => await import('./commands/images-list.js'),
  },
  {
    path: 'images resign',
    summary: 'sign images that are in Glance, such as snapshots',
    load: async () => await import('./commands/images-resign.js'),
  },
  {
    path: 'images delete',
    summary: 'delete images in Glance, and the keys that go with them',
    load: async () => await import('./commands/images-delete.js'),
  },
  {
    path: 'volume-type check',
    summary: 'what an encryption spec really gives, and what to set instead',
    load: async () => await import('./commands/volume-type-check.js'),
  },
  {
    path: 'volume-type show',
    summary: 'show a volume type of a cloud',
    load: async () => await import('./commands/volume-type-show.js'),
  },
  {
    path: 'swift rootkey create',
    summary: "make the secret that Swift's keys are derived from",
    load: async () => await import('./commands/swift-rootkey-create.js'),
  },
  {
    path: 'swift rootkey check',
    summary: 'check that Swift encrypts, down to the disk',
    load: async () => await import('./commands/swift-rootkey-check.js'),
  },
  {
    path: 'policy check',
    summary: 'check a policy, and which rule an image falls under',
    load: async () => await import('./commands/policy-check.js'),
  },
  {
    path: 'completion',
    summary: 'print a completion script',
    load: async () => await import('./commands/completion.js'),
  },
]
