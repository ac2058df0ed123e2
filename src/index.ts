/**
 * volseal: sign and verify OpenStack images, and seal them into LUKS volumes whose key comes from
 * a key manager.
 *
 * @packageDocumentation
 */
export type { HashName, KeyTypeName } from './core/algorithms.js'
export type {
  Arrival,
  ByteInput,
  ByteSource,
  PassOptions,
  SourceMaker,
} from './core/byte-source.js'
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
export {
  type BackupPlace,
  defaultBackupDirectory,
  type HeaderKeeping,
  type KeepHeader,
} from './face/automatic-backup.js'
export {
  type BackupCheck,
  type CheckKeyOptions,
  checkHeaderBackup,
  checkVolumeKey,
  type KeyCheck,
  type KeyForm,
} from './face/check-volume.js'
export { type CloudOptions, type OpenCloud, openCloud } from './face/cloud.js'
export {
  type DeletedImage,
  type DeleteImageOptions,
  deleteImage,
  type KeyFate,
} from './face/delete-image.js'
export { type ImageKey, imageKeyOf } from './face/encrypted-image.js'
export { findStoredImage, type StoredImage } from './face/glance-image.js'
export {
  type BackupHeaderOptions,
  backupHeader,
  type HeaderBackup,
} from './face/header-backup.js'
export {
  type ImageState,
  type InventoryImage,
  type InventoryOptions,
  listImages,
} from './face/image-inventory.js'
export { type InspectResult, inspectImage } from './face/inspect.js'
export type { KeyChangeOptions } from './face/key-change.js'
export type { OpenKeyManager } from './face/key-store.js'
export type { KeyUser } from './face/key-users.js'
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
export { createRootKey, type NewRootKey } from './face/new-root-key.js'
export {
  type Bereft,
  type DeletedOrphans,
  type DeleteOrphansOptions,
  deleteOrphans,
  findOrphans,
  type Orphan,
  type OrphanOptions,
  type OrphanReport,
} from './face/orphans.js'
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
export { type PublishOptions, type PublishResult, publishImage } from './face/publish.js'
export type { PublishedFacts } from './face/publish-plan.js'
export type { TransferOptions } from './face/publish-upload.js'
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
export { type ResignOptions, type ResignResult, resignImage } from './face/resign.js'
export {
  type RestoredHeader,
  type RestoreHeaderOptions,
  restoreHeader,
} from './face/restore-header.js'
export {
  type DigestSigner,
  type SignerOptions,
  type SignOptions,
  type SignRequest,
  type SignResult,
  signImage,
} from './face/sign.js'
export { type SigningStream, type SignStreamOptions, signStream } from './face/sign-stream.js'
export {
  type CheckRootKeyOptions,
  type ConfigCheck,
  checkRootKey,
  type DeviceSearch,
  type RootKeyCheck,
  RootKeyRefused,
  type WrittenObject,
} from './face/swift-root-key.js'
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
  type BackEndKind,
  type BackEndVerdict,
  type CheckSpecOptions,
  checkEncryptionSpec,
  checkVolumeType,
  type RecommendedSpec,
  type SecretStoreName,
  type ShownType,
  type SpecCheck,
  SpecRefused,
  showVolumeType,
  type TypeEncryption,
  type VolumeTypeSource,
} from './face/volume-types.js'
export {
  type FormatOptions,
  type FormatResult,
  formatVolume,
  inspectVolume,
} from './face/volumes.js'
export { type SealedWith, type WriteOptions, type WriteResult, writeImage } from './face/write.js'
export type { WriteWatch } from './face/write-content.js'
export type { Encrypted } from './face/write-encrypted.js'
export {
  type WriteRecordedOptions,
  type WriteRecordedResult,
  writeRecorded,
} from './face/write-recorded.js'
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
export * from './openstack/index.js'
export type { SignatureFiles, SignedImage } from './sign/index.js'
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
