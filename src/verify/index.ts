export { type NamedCertificate, type TrustPath } from './check-certificate.js'
export { type Pass, type SaltRule } from './check-signature.js'
export { type CopyOptions, type HeldImage, holdByDigests, holdInCopy } from './held-image.js'
export { passUnverified, type UnverifiedPlan } from './pass-unverified.js'
export * from './policy/index.js'
export {
  type AppliedPolicy,
  type Check,
  type CheckName,
  ImageRefused,
  type Trust,
  type VerifyReport,
} from './report.js'
export { readOrUnchecked, type VerifyPlan, verifyPass } from './verify-image.js'
