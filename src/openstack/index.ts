export {
  Cinder,
  type CinderBackup,
  type CinderVolume,
  type VolumeEncryption,
} from './block-storage/cinder.js'
export type { EncryptionSpec, VolumeType } from './block-storage/volume-type.js'
export type {
  Cloud,
  DomainName,
  InDomain,
  Interface,
  Login,
  Scope,
  ServiceSettings,
} from './cloud/cloud.js'
export type { Environment } from './cloud/cloud-files.js'
export { loadCloud } from './cloud/load-cloud.js'
export { ConnectionFailure, type FailureKind } from './http/connection-failure.js'
export type { HttpAnswer, HttpMethod, Patience, TlsSettings } from './http/http-client.js'
export {
  hasStatus,
  ServiceError,
  type ServiceErrorJson,
  type ServiceRefusal,
} from './http/service-error.js'
export { type ServiceKind, ServiceMissing, type ServicePlaces } from './identity/catalog.js'
export type { CatalogEndpoint, Identity, Named, Token } from './identity/token.js'
export type { DownloadOptions } from './image/download.js'
export {
  Glance,
  type ImageContent,
  type ImageFilter,
  type PropertyChange,
} from './image/glance.js'
export type { GlanceImage, NewImage } from './image/image.js'
export { Barbican } from './key-manager/barbican.js'
export type { BarbicanFilter, SecretAcl, SecretFacts } from './key-manager/barbican-bodies.js'
export type { NewOrder } from './key-manager/orders.js'
export type { BarbicanSecret, SecretConsumer } from './key-manager/secret-answer.js'
export { Swift } from './object-storage/swift.js'
export {
  type CallOptions,
  type Explain,
  type RequestBody,
  type ServiceAnswer,
  type ServiceRequest,
  Session,
  type SessionOptions,
} from './session.js'
