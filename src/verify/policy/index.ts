export { judgeAge, judgeFormat, judgeSigner } from './check-policy.js'
export { type Considered, considerRules, NO_RULE, ruleFor } from './match-rule.js'
export { type CertificateReader, type ParsedPolicy, parsePolicy } from './parse-policy.js'
export {
  type Age,
  type Policy,
  type PolicyCertificate,
  type PolicyFormat,
  type PolicyRule,
  type PolicySubject,
  type SignatureDemand,
} from './policy.js'
