export { formatMismatch, isKnownFormat, QEMU_NAMES } from './claim.js'
export { inspectImage } from './inspect-image.js'
export {
  type Finding,
  type FindingCode,
  type FindingLevel,
  type ImageDetails,
  type ImageFormat,
  type ImageReader,
  type ImageReport,
  type Inspected,
  isUnsafe,
} from './report.js'
