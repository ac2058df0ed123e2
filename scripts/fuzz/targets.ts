import type { Target } from './target.js'
import { CERTIFICATE_TARGETS } from './targets/certificates.js'
import { ENCODING_TARGETS } from './targets/encodings.js'
import { IMAGE_TARGETS } from './targets/images.js'
import { KEY_STORE_TARGETS } from './targets/key-store.js'
import { POLICY_TARGETS } from './targets/policies.js'
import { PSS_TARGETS } from './targets/pss.js'
import { SIGNATURE_TARGETS } from './targets/signatures.js'
import { TRUST_TARGETS } from './targets/trust.js'
import { VOLUME_TARGETS } from './targets/volumes.js'

/** Everything that is fuzzed. To add a target, add it to one of these, or a new one. */
export const TARGETS: readonly Target[] = [
  ...IMAGE_TARGETS,
  ...VOLUME_TARGETS,
  ...CERTIFICATE_TARGETS,
  ...TRUST_TARGETS,
  ...SIGNATURE_TARGETS,
  ...ENCODING_TARGETS,
  ...PSS_TARGETS,
  ...POLICY_TARGETS,
  ...KEY_STORE_TARGETS,
]
