export type { ConfigCheck } from './config-check.js'
export {
  checkEndpoint,
  type KeymasterConf,
  keymasterLines,
  readKeymasterConf,
} from './keymaster-conf.js'
export { checkPipeline } from './pipeline.js'
export {
  checkRootSecret,
  ROOT_SECRET_ALGORITHM,
  ROOT_SECRET_BITS,
  type RootSecretFacts,
} from './root-secret.js'
export { type DeviceSearch, searchDevices } from './search-devices.js'
export { parseConfig } from './service-config.js'
