export { type NamedCertificate, type TrustPath } from './check-certificate.js'
export { type Pass, type SaltRule } from './check-signature.js'
export { EvidenceCollector } from './evidence.js'
export { explainVerdict } from './explain.js'
export type {
  Acceptance,
  Cause,
  CauseCode,
  CertificateFacts,
  Explanation,
  LogLine,
  SignatureFacts,
} from './explanation.js'
export {
  type CopyFile,
  type CopyOptions,
  type HeldImage,
  holdByDigests,
  holdInCopy,
} from './held-image.js'
export { passUnverified, type UnverifiedPlan } from './pass-unverified.js'
export * from './policy/index.js'
export { tellRefusal } from './refusal-line.js'
export {
  type AppliedPolicy,
  type Check,
  type CheckName,
  ImageRefused,
  type SourcedCheck,
  type Trust,
  type VerifyReport,
  withSource,
} from './report.js'
export { describeSize, readOrUnchecked, type VerifyPlan, verifyPass } from './verify-image.js'
