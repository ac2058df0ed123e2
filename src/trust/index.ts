export { checkTrust, judgeTrust, type TrustPlan } from './check-trust.js'
export { readRevocationLists } from './crl.js'
export { readCertificates, readChain } from './read-certificates.js'
export {
  CertificateRefused,
  type PathCertificate,
  type PathCheck,
  type PathCheckName,
  type PathReport,
  type Role,
} from './report.js'
