export { exportKey, type KeyPairPlan, makeKey } from './key-pair.js'
export { type PrivateKeyOptions, readPrivateKey } from './private-key.js'
export { makeSigner, type SignedImage, type Signer, signSource } from './sign-image.js'
export { type SignatureFiles, signatureFiles, writeSignature } from './write-signature.js'
