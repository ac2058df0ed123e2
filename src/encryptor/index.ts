export {
  type Content,
  damagedHeader,
  examineContent,
  requireUsableHeader,
} from './content.js'
export {
  cryptsetup,
  DEFAULT_CIPHER,
  type FormatPlan,
  PBKDFS,
  type Pbkdf,
  PROVIDERS,
  type Provider,
  testArgs,
  XTS_KEY_BITS,
} from './cryptsetup.js'
export { type Device, identityOf, lookAtDevice, mapperUuid, openExclusively } from './device.js'
export { formatVolume } from './format-volume.js'
export {
  type BackupHead,
  isBackup,
  openBackup,
  parseBackup,
  sealBackup,
} from './header-backup.js'
export { copyHeader, type HeaderCopy, isReencrypting } from './header-bytes.js'
export {
  inspectVolume,
  type KeyslotReport,
  type TokenReport,
  type VolumeReport,
} from './inspect-volume.js'
export { keyslotsOf, opensVolume, slotsOpenedBy } from './keyslots.js'
export { type MangledRepair, mangledPassphrase, opensMangled, repairMangled } from './mangled.js'
export {
  chooseWay,
  convertImage,
  convertIntoLuks1,
  requireCommandFor,
  requireCryptsetup,
  type Way,
  withMapping,
} from './open-volume.js'
export { type Reencryption, reencryptVolume } from './reencrypt.js'
export {
  type Abandonment,
  abandonKey,
  type KeyReplacement,
  type Replacement,
  replaceKey,
  wrongKey,
} from './rekey-volume.js'
export { restoreHeader, withHeaderFile } from './restore-header.js'
export { type OpeningCost, type Tuned, tuneVolume } from './tune-volume.js'
export { writeBlocks } from './write-blocks.js'
