export { type BackupReport, backupStore } from './backup-store.js'
export { barbicanKeyManager } from './barbican-key-manager.js'
export {
  type CheckOptions,
  checkStore,
  type DamagedFile,
  type StoreContent,
  type StoreReport,
} from './check-store.js'
export { defaultStorePaths, type PathEnvironment, type StorePaths } from './default-paths.js'
export type {
  FetchedSecret,
  KeyManager,
  NewKey,
  NewSecret,
  SecretFilter,
  SecretInfo,
  SecretMetadata,
  SecretOrigin,
  SecretSource,
  SecretType,
  StoredSecret,
} from './key-manager.js'
export type { StoreKeySource } from './key-source.js'
export { type LocalKeyManager, openLocalKeyManager } from './local-key-manager.js'
export type { LocalStoreOptions } from './open-store.js'
export { isVerbatim, looksRandom, type PassphraseOptions, passphraseOf } from './passphrase.js'
export { type RekeyReport, rekeyStore } from './rekey-store.js'
export { MAX_PAYLOAD_BYTES } from './secret-rules.js'
export type {
  SecretService,
  ServiceFacts,
  ServiceOrder,
  ServiceSecret,
} from './secret-service.js'
