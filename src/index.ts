/**
 * volseal: sign and verify OpenStack images, and seal them into LUKS volumes whose key comes from
 * a key manager.
 *
 * @packageDocumentation
 */
export type { HashName, KeyTypeName } from './core/algorithms.js'
export type { ByteInput, PassOptions } from './core/byte-source.js'
export type { CertificateSummary } from './core/certificate.js'
export type {
  PathCertificate,
  PathCheck,
  PathCheckName,
  Role,
  SourcedPathCheck,
} from './core/certificate-path.js'
export { type ErrorCode, type ErrorJson, type ErrorOptions, VolsealError } from './core/errors.js'
export { pickProperties, type SignatureProperties } from './core/image-signature.js'
export type { ProfileName } from './core/profiles.js'
export { Secret } from './core/secret.js'
export type {
  KeyslotReport,
  Pbkdf,
  Provider,
  TokenReport,
  VolumeReport,
  VolumeToken,
  Way,
} from './encryptor/index.js'
export {
  type AttachOptions,
  attachVolume,
  collectGarbage,
  createEncryptor,
  detachVolume,
  type Encryptor,
  type EncryptorOptions,
  type ExtendOptions,
  extendVolume,
  type NotEncrypted,
  volumeStatus,
} from './face/attach.js'
export { type BackupPlace, defaultBackupDirectory } from './face/automatic-backup.js'
export {
  type BackupCheck,
  type CheckKeyOptions,
  checkHeaderBackup,
  checkVolumeKey,
  type KeyCheck,
  type KeyForm,
} from './face/check-volume.js'
export {
  type BackupHeaderOptions,
  backupHeader,
  type HeaderBackup,
  type RestoredHeader,
  type RestoreHeaderOptions,
  restoreHeader,
} from './face/header-backup.js'
export { type InspectResult, inspectImage } from './face/inspect.js'
export type { KeyChangeOptions } from './face/key-change.js'
export {
  type CertificateDescription,
  type CertificateIssuer,
  type CertificateOptions,
  createCertificate,
  createKeyPair,
  createRequest,
  inspectCertificate,
  type KeyInput,
  type KeyPairPlan,
  openKey,
} from './face/keys.js'
export {
  type LibvirtSecretOptions,
  removeVolumeSecret,
  setVolumeSecret,
} from './face/libvirt-secret.js'
export {
  checkPolicy,
  explainPolicy,
  loadPolicy,
  type Policy,
  type PolicyCheck,
  type PolicyExplanation,
  type PolicyRule,
  type PolicySubject,
} from './face/policy.js'
export { type ReencryptOptions, reencryptVolume } from './face/reencrypt-volume.js'
export {
  type AbortRekeyOptions,
  abortRekey,
  type NewVolumeKey,
  type RekeyOptions,
  type RekeyResult,
  rekeyVolume,
} from './face/rekey-volume.js'
export { repairMangledVolume } from './face/repair-volume.js'
export {
  type DigestSigner,
  type SignOptions,
  type SignRequest,
  type SignResult,
  signImage,
} from './face/sign.js'
export {
  CertificateRefused,
  type CheckCertificateOptions,
  checkCertificate,
  type TrustOptions,
} from './face/trust.js'
export { type TuneResult, tuneVolume } from './face/tune-volume.js'
export { ImageRefused, type JudgeOptions, type VerifyOptions, verifyImage } from './face/verify.js'
export type { VolumeKeyOptions, VolumeOptions } from './face/volume-key.js'
export {
  type FormatOptions,
  type FormatResult,
  formatVolume,
  inspectVolume,
} from './face/volumes.js'
export { type WriteOptions, type WriteResult, writeImage } from './face/write.js'
export type { WriteWatch } from './face/write-content.js'
export type { Encrypted } from './face/write-encrypted.js'
export type { WriteTargetOptions, Written } from './face/write-target.js'
export type {
  Finding,
  FindingCode,
  FindingLevel,
  ImageDetails,
  ImageFormat,
  ImageReport,
} from './inspect/index.js'
export * from './keyfile/index.js'
export type { SignatureFiles } from './sign/index.js'
export type { PathReport } from './trust/index.js'
export type {
  Acceptance,
  Cause,
  CauseCode,
  Check,
  CheckName,
  Explanation,
  LogLine,
  SaltRule,
  SourcedCheck,
  Trust,
  VerifyReport,
} from './verify/index.js'
