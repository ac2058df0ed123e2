/**
 * The only importer of `@peculiar/x509`, and of the Reflect polyfill that must be there before it. Loaded
 * only by the commands that make or show certificates; it costs some 100 ms, and signing and verifying
 * do without (`certificate.ts`).
 */
import 'reflect-metadata'

export {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
