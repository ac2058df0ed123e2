export { PassphraseMissing } from './key-errors.js'
export { exportKey, isSlowToDraw, type KeyPairPlan, makeKey } from './key-pair.js'
export type { KeyFile } from './pkcs12.js'
export { readKeyFile } from './private-key.js'
export { readPublicKey } from './public-key.js'
export { type DigestSigner, type RemoteSigner, type SignRequest } from './remote-signer.js'
export {
  makeRemoteSigner,
  makeSigner,
  type SignedImage,
  type Signer,
  signBytes,
  signSource,
} from './sign-image.js'
export { type SignatureFiles, signatureFiles, writeSignature } from './write-signature.js'
