export type { Activation } from './attach/activation.js'
export { type Attached, type AttachRequest, attachVolume } from './attach/attach-volume.js'
export { collectGarbage, type Garbage, type GarbageReport } from './attach/collect-garbage.js'
export {
  type Connection,
  readConnection,
  readEncryption,
  requireDevicePath,
} from './attach/connection.js'
export { type Detached, type DetachRequest, detachVolume } from './attach/detach-volume.js'
export {
  type EncryptionFormat,
  type EncryptionMetadata,
  encryptionOf,
  formatOf,
} from './attach/encryption.js'
export { type Extended, extendVolume } from './attach/extend-volume.js'
export type { PlainSettings } from './attach/plain.js'
export { NO_KEY_ID } from './attach/token-warnings.js'
export type { VolumeAccess, VolumeRequest } from './attach/volume-request.js'
export { type MappingStatus, type VolumeStatus, volumeStatus } from './attach/volume-status.js'
export {
  cryptsetup,
  DEFAULT_CIPHER,
  DEFAULT_SECTOR_SIZE,
  type FormatPlan,
  PBKDFS,
  type Pbkdf,
  PROVIDERS,
  type Provider,
  testArgs,
  XTS_KEY_BITS,
} from './cryptsetup.js'
export { type Device, identityOf, lookAtDevice, mapperUuid, openExclusively } from './device.js'
export {
  type Content,
  damagedHeader,
  examineContent,
} from './format/content.js'
export {
  EVIDENCE,
  type Evidence,
  type FirstUse,
  type FirstUseRequest,
  formatForFirstUse,
} from './format/first-use.js'
export { formatVolume } from './format/format-volume.js'
export { SCANS, type Scan } from './format/scan.js'
export {
  effectiveCipher,
  type HeaderFacts,
  type KeyslotReport,
  type TokenReport,
} from './header/describe-header.js'
export {
  type BackupHead,
  isBackup,
  openBackup,
  parseBackup,
  sealBackup,
} from './header/header-backup.js'
export { copyHeader, type HeaderBytes, headerIn } from './header/header-bytes.js'
export { withHeader, withHeaderCopy } from './header/header-copy.js'
export { SECTOR_SIZES } from './header/header-rules.js'
export { inspectVolume, type VolumeReport } from './header/inspect-volume.js'
export {
  type HeaderExpectation,
  headerRefusal,
  type JudgedHeader,
  judgeDevice,
  judgeHeader,
} from './header/judge-header.js'
export { restoreHeader, withHeaderFile } from './header/restore-header.js'
export type { VolumeToken } from './header/volume-token.js'
export { opensVolume, slotsOpenedBy } from './keys/keyslots.js'
export {
  type MangledRepair,
  mangledPassphrase,
  opensMangled,
  repairMangled,
} from './keys/mangled.js'
export { type Reencryption, reencryptVolume } from './keys/reencrypt.js'
export {
  type Abandonment,
  abandonKey,
  type KeyReplacement,
  type Replacement,
  replaceKey,
  wrongKey,
} from './keys/rekey-volume.js'
export { type OpeningCost, type Tuned, tuneVolume } from './keys/tune-volume.js'
export { type LibvirtSecret, removeLibvirtSecret, setLibvirtSecret } from './libvirt-secret.js'
export {
  chooseWay,
  convertImage,
  convertIntoLuks1,
  requireCommandFor,
  requireCryptsetup,
  testPassphrase,
  type Way,
  withMapping,
} from './open-volume.js'
export {
  BACK_END_KINDS,
  BACK_ENDS,
  type BackEndKind,
  SECRET_STORES,
  type SecretStoreName,
  type TypeEncryption,
} from './volume-type/encryption-spec.js'
export {
  type BackEndVerdict,
  judgeSpec,
  type SpecFinding,
} from './volume-type/judge-spec.js'
export { accessCommand, createCommand, setCommand } from './volume-type/openstack-commands.js'
export { type Recommendation, recommendSpecs } from './volume-type/recommend-spec.js'
export { writeBlocks } from './write-blocks.js'
