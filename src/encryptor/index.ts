export {
  type Content,
  damagedHeader,
  examineContent,
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
export {
  effectiveCipher,
  type HeaderFacts,
  type KeyslotReport,
  type TokenReport,
} from './describe-header.js'
export { type Device, identityOf, lookAtDevice, mapperUuid, openExclusively } from './device.js'
export { formatVolume } from './format-volume.js'
export { withHeader, withHeaderCopy } from './header-copy.js'
export { inspectVolume, type VolumeReport } from './inspect-volume.js'
export {
  type HeaderExpectation,
  headerRefusal,
  type JudgedHeader,
  judgeHeader,
} from './judge-header.js'
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
export type { VolumeToken } from './volume-token.js'
export { writeBlocks } from './write-blocks.js'
