export { type TypeEncryption, type VolumeType, VolumeTypes } from './block-storage/volume-types.js'
export type { Cloud } from './cloud/cloud.js'
export type { Environment } from './cloud/cloud-files.js'
export { loadCloud } from './cloud/load-cloud.js'
export { ConnectionFailure } from './http/connection-failure.js'
export { hasStatus, ServiceError, type ServiceRefusal } from './http/service-error.js'
export type { Identity, Named } from './identity/token.js'
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
export { Session, type SessionOptions } from './session.js'
