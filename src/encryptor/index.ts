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
export {
  EVIDENCE,
  type Evidence,
  type FirstUse,
  type FirstUseRequest,
  formatForFirstUse,
} from './first-use.js'
export { formatVolume } from './format-volume.js'
export {
  inspectVolume,
  type KeyslotReport,
  type TokenReport,
  type VolumeReport,
} from './inspect-volume.js'
export {
  chooseWay,
  convertImage,
  convertIntoLuks1,
  requireCommandFor,
  requireCryptsetup,
  type Way,
  withMapping,
} from './open-volume.js'
export { SCANS, type Scan } from './scan.js'
export { writeBlocks } from './write-blocks.js'
