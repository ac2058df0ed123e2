import {
  Authority,
  CA,
  type Issued,
  type Judged,
  type Order,
  SIGNER,
} from '../harness/authority.js'

/**
 * Certificates that a rule of RFC 5280 accepts or refuses. The names in `limbo` are the cases of
 * x509-limbo that these are built after; their certificates are made anew, for signers of images.
 */
export interface Case {
  readonly name: string
  readonly limbo?: string
  /** How trust is found, or which check refuses it and what the refusal says. */
  readonly verdict: 'path' | 'pinned' | readonly [check: string, says: RegExp]
  /** What `openssl verify -x509_strict` says where it is not the same, and why. */
  readonly openssl?: readonly [accepts: boolean, why: string]
  readonly make: (authority: Authority) => Judged
}

/** A chain from a root, CA by CA, with a signer under the last one. */
function chain(
  authority: Authority,
  cas: readonly Partial<Order>[],
  signer: Partial<Order> = {},
): Issued[] {
  const made: Issued[] = []
  for (const [index, order] of cas.entries()) {
    made.push(authority.issue({ subject: `CA ${index}`, ...order, issuer: made.at(-1) }))
  }
  const last: Order = { subject: 'signer', extensions: SIGNER, ...signer, issuer: made.at(-1) }
  return [...made, authority.issue(last)]
}

/** The root is trusted, what stands between is not. */
function judged(certificates: readonly Issued[], more: Partial<Judged> = {}): Judged {
  const [root, ...others] = certificates
  const signer = others.at(-1)
  if (root === undefined || signer === undefined) throw new Error('a chain has two certificates')
  return { signer, trusted: [root], untrusted: others.slice(0, -1), ...more }
}

/** A case with a chain. */
function chained(
  cas: readonly Partial<Order>[],
  signer: Partial<Order> = {},
  more: Partial<Judged> = {},
): Case['make'] {
  return (authority) => judged(chain(authority, cas, signer), more)
}

const USAGE = 'keyUsage=critical,keyCertSign,cRLSign'
const UNKNOWN = '1.3.6.1.4.1.55738.666.1=critical,ASN1:NULL'
const LONG_AGO = new Date('2000-01-01')
const LATER = new Date('2300-01-01')

function caOf(pathLength: number): string[] {
  return [`basicConstraints=critical,CA:TRUE,pathlen:${pathLength}`, USAGE]
}

function constrained(constraint: string): string[] {
  return [...CA, `nameConstraints=critical,${constraint}`]
}

const IN_TREE = 'permitted;dirName:tree\n[tree]\nO=Example'
const OUT_OF_TREE = 'excluded;dirName:tree\n[tree]\nO=Example'

export const CASES: readonly Case[] = [
  { name: 'a root and a signer', verdict: 'path', make: chained([{}]) },
  { name: 'two CAs', verdict: 'path', make: chained([{}, {}]) },
  {
    name: 'a signer without keyUsage and basicConstraints',
    limbo: 'rfc5280::no-keyusage, rfc5280::no-basicconstraints',
    verdict: 'path',
    make: chained([{}], { extensions: ['subjectAltName=DNS:example.com'] }),
  },
  {
    name: 'a CA that is not the root, but trusted',
    verdict: 'path',
    make: (authority) => {
      const [, middle, signer] = chain(authority, [{}, {}])
      return judged([middle, signer].filter((found) => found !== undefined))
    },
  },
  {
    name: 'a root that is not trusted',
    limbo: 'rfc5280::chain-untrusted-root',
    verdict: ['signature', /it is its own issuer, and is not trusted/],
    make: (authority) => {
      const [root, middle, signer] = chain(authority, [{}, {}])
      if (root === undefined || middle === undefined || signer === undefined) throw new Error()
      const trusted = [authority.issue({ subject: 'unrelated' })]
      return { signer, trusted, untrusted: [root, middle] }
    },
  },
  {
    name: 'an intermediate that is missing',
    verdict: ['signature', /no certificate of its issuer CN=CA 1 is given/],
    make: (authority) => judged(chain(authority, [{}, {}]), { untrusted: [] }),
  },

  // Dates
  {
    name: 'a signer that is not valid yet',
    verdict: ['dates', /^the certificate CN=signer: it is not valid before/],
    make: chained([{}], {}, { at: LONG_AGO }),
  },
  {
    name: 'a signer that has expired',
    limbo: 'rfc5280::validity::expired-leaf',
    verdict: ['dates', /^the certificate CN=signer: it expired on/],
    make: chained([{}], {}, { at: LATER }),
  },
  {
    name: 'an intermediate that has expired',
    limbo: 'rfc5280::validity::expired-intermediate',
    verdict: ['dates', /CN=CA 1 above it: it expired on/],
    make: chained([{}, { options: ['-days', '1'] }], {}, { at: new Date(Date.now() + 9 * 864e5) }),
  },
  {
    name: 'a root that has expired',
    limbo: 'rfc5280::validity::expired-root',
    verdict: ['dates', /CN=CA 0 above it: it expired on/],
    make: chained([{ options: ['-days', '1'] }], {}, { at: new Date(Date.now() + 9 * 864e5) }),
  },
  {
    name: 'an expired cross-signed CA beside the root itself',
    limbo: 'pathological::multiple-chains-expired-intermediate',
    verdict: 'path',
    make: (authority) => {
      const [root, other] = [authority.issue({ subject: 'R' }), authority.issue({ subject: 'old' })]
      const cross: Order = { subject: 'R', issuer: other, key: root, options: ['-days', '1'] }
      const signer = authority.issue({ subject: 'signer', issuer: root, extensions: SIGNER })
      const at = new Date(Date.now() + 9 * 864e5)
      return { signer, trusted: [root, other], untrusted: [authority.issue(cross)], at }
    },
  },

  // basicConstraints and path lengths
  {
    name: 'an issuer that is no CA',
    limbo: 'rfc5280::intermediate-ca-without-ca-bit',
    verdict: ['basic-constraints', /CN=CA 1 above it: it is no CA \(CA:FALSE\)/],
    make: chained([{}, { extensions: ['basicConstraints=critical,CA:FALSE'] }]),
  },
  {
    name: 'an intermediate without basicConstraints',
    limbo: 'rfc5280::intermediate-ca-missing-basic-constraints',
    verdict: ['basic-constraints', /CN=CA 1 above it: it is no CA \(no basicConstraints\)/],
    make: chained([{}, { extensions: [USAGE] }]),
  },
  {
    name: 'a root without basicConstraints',
    limbo: 'rfc5280::root-missing-basic-constraints',
    verdict: ['basic-constraints', /CN=CA 0 above it: it is no CA/],
    make: chained([{ extensions: [USAGE] }]),
  },
  {
    name: 'a root of version 1',
    verdict: ['basic-constraints', /CN=CA 0 above it: it is no CA/],
    make: chained([{ extensions: [] }]),
  },
  {
    name: 'a root whose basicConstraints are not critical',
    limbo: 'rfc5280::root-non-critical-basic-constraints',
    verdict: 'path',
    openssl: [false, 'RFC 5280 §6.1 does not ask for it, and old CAs are so'],
    make: chained([{ extensions: ['basicConstraints=CA:TRUE', USAGE] }]),
  },
  {
    name: 'pathlen 0 above a signer',
    limbo: 'pathlen::ee-with-intermediate-pathlen-0',
    verdict: 'path',
    make: chained([{}, { extensions: caOf(0) }]),
  },
  {
    name: 'pathlen 0 above a CA',
    limbo: 'pathlen::intermediate-violates-pathlen-0',
    verdict: ['path-length', /CN=CA 1 above it: it allows 0 CA certificates below it, and 1 are/],
    make: chained([{}, { extensions: caOf(0) }, { extensions: caOf(0) }]),
  },
  {
    name: 'pathlen that grows below',
    limbo: 'pathlen::intermediate-pathlen-may-increase',
    verdict: 'path',
    make: chained([{}, { extensions: caOf(1) }, { extensions: caOf(2) }]),
  },
  {
    name: 'pathlen of the one in the middle',
    limbo: 'pathlen::intermediate-pathlen-too-long',
    verdict: ['path-length', /CN=CA 2 above it/],
    make: chained([{}, { extensions: caOf(1) }, { extensions: caOf(0) }, { extensions: caOf(0) }]),
  },
  {
    name: 'pathlen of the trusted certificate',
    verdict: ['path-length', /CN=CA 0 above it/],
    make: chained([{ extensions: caOf(0) }, {}]),
  },
  {
    name: 'self-issued CAs do not count for pathlen',
    limbo: 'pathlen::self-issued-certs-pathlen',
    verdict: 'path',
    make: chained([
      {},
      { subject: 'same', extensions: caOf(1) },
      { subject: 'same', extensions: caOf(1) },
      { subject: 'last', extensions: caOf(0) },
    ]),
  },
  {
    name: 'a signer that is a CA under pathlen 0',
    limbo: 'pathlen::validation-ignores-pathlen-in-leaf',
    verdict: 'path',
    make: chained([{}, { extensions: caOf(0) }], {
      extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=keyCertSign,digitalSignature'],
    }),
  },

  // What keys may be used for
  {
    name: 'a CA that may not sign certificates',
    limbo: 'rfc5280::ica-ku-keycertsign',
    verdict: ['key-usage', /CN=CA 1 above it: it may not sign certificates \(keyUsage: cRLSign\)/],
    make: chained([{}, { extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=cRLSign'] }]),
  },
  {
    name: 'a root that may not sign certificates',
    limbo: 'rfc5280::root-inconsistent-ca-extensions',
    verdict: ['key-usage', /CN=CA 0 above it/],
    make: chained([{ extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=cRLSign'] }]),
  },
  {
    name: 'a CA without keyUsage',
    verdict: 'path',
    openssl: [false, '§6.1.4 (n) asks only where it is there; openssl req makes such CAs'],
    make: chained([{ extensions: ['basicConstraints=critical,CA:TRUE'] }]),
  },
  {
    name: 'a signer that may not sign data',
    verdict: ['key-usage', /CN=signer: its key may not sign data \(keyUsage: keyEncipherment\)/],
    openssl: [true, 'it does not know what the certificate is for'],
    make: chained([{}], { extensions: ['keyUsage=critical,keyEncipherment'] }),
  },
  {
    name: 'a signer that may sign certificates but is no CA',
    limbo: 'rfc5280::leaf-ku-keycertsign',
    verdict: ['basic-constraints', /it may sign certificates \(keyUsage\) but is no CA/],
    make: chained([{}], {
      extensions: ['basicConstraints=CA:FALSE', 'keyUsage=digitalSignature,keyCertSign'],
    }),
  },
  {
    name: 'a signer for codeSigning',
    verdict: 'path',
    make: chained([{}], {
      extensions: [...SIGNER, 'extendedKeyUsage=codeSigning,emailProtection'],
    }),
  },
  {
    name: 'a signer for any purpose',
    verdict: 'path',
    make: chained([{}], { extensions: [...SIGNER, 'extendedKeyUsage=anyExtendedKeyUsage'] }),
  },
  {
    name: 'a signer that is a TLS server',
    verdict: ['extended-key-usage', /CN=signer: it is for serverAuth, not for signing code/],
    openssl: [true, 'asked for no purpose'],
    make: chained([{}], { extensions: [...SIGNER, 'extendedKeyUsage=serverAuth'] }),
  },
  {
    name: 'a CA for TLS servers',
    verdict: ['extended-key-usage', /CN=CA 1 above it: it is for serverAuth, clientAuth/],
    openssl: [true, 'asked for no purpose'],
    make: chained([{}, { extensions: [...CA, 'extendedKeyUsage=serverAuth,clientAuth'] }]),
  },

  // Critical extensions
  {
    name: 'an unknown critical extension of the signer',
    limbo: 'rfc5280::unknown-critical-extension-ee',
    verdict: ['critical-extensions', /CN=signer: its critical extension 1\.3\.6\.1\.4\.1\.55738/],
    make: chained([{}], { extensions: [...SIGNER, UNKNOWN] }),
  },
  {
    name: 'an unknown critical extension of a CA',
    limbo: 'rfc5280::unknown-critical-extension-intermediate',
    verdict: ['critical-extensions', /CN=CA 1 above it: its critical extension/],
    make: chained([{}, { extensions: [...CA, UNKNOWN] }]),
  },
  {
    name: 'an unknown critical extension of the root',
    limbo: 'rfc5280::unknown-critical-extension-root',
    verdict: ['critical-extensions', /CN=CA 0 above it: its critical extension/],
    make: chained([{ extensions: [...CA, UNKNOWN] }]),
  },
  {
    name: 'an unknown extension that is not critical',
    limbo: 'rfc5280::ee-aia',
    verdict: 'path',
    make: chained([{}], {
      extensions: [
        ...SIGNER,
        '1.3.6.1.4.1.55738.666.1=ASN1:NULL',
        'authorityInfoAccess=caIssuers;URI:http://example.com/',
      ],
    }),
  },
  {
    name: 'a critical authorityInfoAccess',
    limbo: 'rfc5280::ee-critical-aia-invalid',
    verdict: ['critical-extensions', /authorityInfoAccess/],
    make: chained([{}], {
      extensions: [...SIGNER, 'authorityInfoAccess=critical,caIssuers;URI:http://example.com/'],
    }),
  },
  {
    name: 'policies, critical',
    verdict: 'path',
    make: chained([{}], { extensions: [...SIGNER, 'certificatePolicies=critical,1.2.3.4'] }),
  },
  {
    name: 'policyConstraints',
    verdict: ['critical-extensions', /policyConstraints/],
    openssl: [true, 'it processes policies, and there are none to fail'],
    make: chained([
      {},
      { extensions: [...CA, 'policyConstraints=critical,inhibitPolicyMapping:0'] },
    ]),
  },

  {
    name: 'policyConstraints that are not critical',
    limbo: 'rfc5280::pc::ica-noncritical-pc',
    verdict: ['critical-extensions', /policyConstraints/],
    openssl: [true, 'it processes policies, and there are none to fail'],
    make: chained([{}, { extensions: [...CA, 'policyConstraints=requireExplicitPolicy:3'] }]),
  },

  // What RFC 5280 §4 asks of CAs and §6 not of who verifies
  {
    name: 'key identifiers that are missing',
    limbo: 'rfc5280::aki::leaf-missing-aki, rfc5280::ski::root-missing-ski',
    verdict: 'path',
    make: chained([{ keyIds: [] }, { keyIds: [] }], { keyIds: [] }),
  },
  {
    name: 'a serial number of zero',
    limbo: 'rfc5280::serial::serial-number-zero',
    verdict: 'path',
    make: chained([{}], { serial: '0' }),
  },
  {
    name: 'a serial number that is too long',
    limbo: 'rfc5280::serial::serial-number-too-long',
    verdict: 'path',
    make: chained([{}], { serial: `0x${'7f'.repeat(22)}` }),
  },

  // Name constraints
  {
    name: 'a name that is permitted',
    verdict: 'path',
    make: chained([{ extensions: constrained(IN_TREE) }], { subject: '/O=example/CN=signer' }),
  },
  {
    name: 'a name that is not permitted',
    limbo: 'rfc5280::nc::permitted-dn-mismatch',
    verdict: [
      'name-constraints',
      /CN=signer: its name is in no subtree that is permitted \(by CN=/,
    ],
    make: chained([{ extensions: constrained(IN_TREE) }]),
  },
  {
    name: 'a name that is excluded',
    limbo: 'rfc5280::nc::excluded-dn-match',
    verdict: ['name-constraints', /its name is in a subtree that is excluded/],
    make: chained([{ extensions: constrained(OUT_OF_TREE) }], { subject: '/O=EXAMPLE/CN=signer' }),
  },
  {
    name: 'an intermediate whose name is not permitted',
    verdict: ['name-constraints', /CN=CA 1 above it: its name is in no subtree/],
    make: chained([{ extensions: constrained(IN_TREE) }, {}], { subject: '/O=Example/CN=signer' }),
  },
  {
    name: 'a self-issued intermediate whose name is not permitted',
    limbo: 'rfc5280::nc::permitted-self-issued',
    verdict: 'path',
    make: chained([{ subject: 'same', extensions: constrained(IN_TREE) }, { subject: 'same' }], {
      subject: '/O=Example/CN=signer',
    }),
  },
  {
    name: 'constraints that are not critical',
    limbo: 'rfc5280::nc::permitted-dns-match-noncritical (a DN here)',
    verdict: ['name-constraints', /its name is in no subtree that is permitted/],
    make: chained([{ extensions: [...CA, `nameConstraints=${IN_TREE}`] }]),
  },
  {
    name: 'constraints of a form that no name has',
    verdict: 'path',
    make: chained([{ extensions: constrained('permitted;DNS:example.com') }]),
  },
  {
    name: 'constraints of a form that is not compared',
    limbo: 'rfc5280::nc::permitted-dns-match',
    verdict: ['name-constraints', /it has a name of the form dNSName, which is constrained/],
    openssl: [true, 'it compares DNS names; an image signer needs none'],
    make: chained([{ extensions: constrained('permitted;DNS:example.com') }], {
      extensions: [...SIGNER, 'subjectAltName=DNS:a.example.com'],
    }),
  },
  {
    name: 'an e-mail address in a name under constraints of addresses',
    verdict: ['name-constraints', /rfc822Name/],
    make: chained([{ extensions: constrained('permitted;email:example.com') }], {
      subject: '/CN=signer/emailAddress=a@example.org',
    }),
  },

  // Names
  {
    name: 'a signer without an issuer',
    limbo: 'rfc5280::ee-empty-issuer, rfc5280::ca-empty-subject',
    verdict: ['name', /CN=signer: it names no issuer/],
    openssl: [false, ''],
    make: chained([{ subject: '/' }]),
  },

  // Algorithms and keys
  {
    name: 'RSA and SHA-512',
    verdict: 'path',
    make: chained([{ key: 'rsa' }, { key: 'rsa', digest: 'sha512' }], { digest: 'sha384' }),
  },
  {
    name: 'RSA-PSS',
    verdict: 'path',
    make: chained([{ key: 'rsa' }, { key: 'rsaPss', options: pss('sha256', 32) }], {
      options: pss('sha384', 48),
      digest: 'sha384',
    }),
  },
  {
    name: 'a signer that is signed with SHA-1',
    verdict: ['signature-algorithm', /CN=signer: it is signed by ECDSA with SHA-1/],
    openssl: [true, 'at its lowest security level it takes SHA-1'],
    make: chained([{}], { digest: 'sha1' }),
  },
  {
    name: 'an intermediate that is signed with SHA-1 and RSA',
    verdict: ['signature-algorithm', /CN=CA 1 above it: it is signed by RSA with SHA-1/],
    openssl: [true, 'at its lowest security level it takes SHA-1'],
    make: chained([{ key: 'rsa' }, { digest: 'sha1' }]),
  },
  {
    name: 'RSA-PSS with SHA-1',
    verdict: ['signature-algorithm', /it is signed by RSA-PSS with SHA-1/],
    openssl: [true, 'at its lowest security level it takes SHA-1'],
    make: chained([{ key: 'rsa' }], { digest: 'sha1', options: pss('sha1', 20) }),
  },
  {
    name: 'a root that signed itself with SHA-1',
    verdict: 'path',
    make: chained([{ digest: 'sha1' }]),
  },
  {
    name: 'a CA with 1024 bits',
    limbo: 'webpki::forbidden-weak-rsa-key-in-root',
    verdict: ['key', /CN=CA 0 above it: its key is RSA, 1024 bits: RSA needs at least 2048 bits/],
    openssl: [true, 'at its lowest security level it takes 1024 bits'],
    make: chained([{ key: 'rsa1024' }]),
  },
  {
    name: 'a signer with 1024 bits',
    verdict: ['key', /CN=signer: its key is RSA, 1024 bits/],
    openssl: [true, 'at its lowest security level it takes 1024 bits'],
    make: chained([{}], { key: 'rsa1024' }),
  },
  {
    name: 'a CA whose curve is spelled out',
    verdict: ['key', /CN=CA 0 above it: .*its curve is spelled out instead of named/],
    openssl: [false, ''],
    make: chained([{ key: 'explicit' }]),
  },
  {
    name: 'a curve that is not accepted',
    verdict: ['key', /the curve secp256k1 is not accepted/],
    openssl: [true, 'it takes every curve that it knows'],
    make: chained([{}], { key: 'secp256k1' }),
  },
  {
    name: 'a CA and a signer on sect571r1',
    verdict: 'path',
    make: chained([{ key: 'sect571r1' }], { key: 'sect571r1', digest: 'sha512' }),
  },
  { name: 'a signer with DSA', verdict: 'path', make: chained([{}], { key: 'dsa' }) },
  {
    name: 'a CA with DSA',
    verdict: ['signature-algorithm', /CN=signer: it is signed by DSA with SHA-256/],
    openssl: [true, 'it takes every kind of key'],
    make: chained([{ key: 'dsa' }]),
  },
  {
    name: 'a CA with Ed25519',
    verdict: ['signature-algorithm', /CN=signer: it is signed by Ed25519/],
    openssl: [true, 'it takes every kind of key'],
    make: chained([{ key: 'ed25519' }]),
  },

  // Which path is taken
  {
    name: 'two CAs of one name, the right one second',
    verdict: 'path',
    make: (authority) => {
      const [root, right] = chain(authority, [{}, { subject: 'CA' }])
      if (root === undefined || right === undefined) throw new Error()
      const wrong = authority.issue({ subject: 'CA', issuer: root })
      const signer = authority.issue({ subject: 'signer', issuer: right, extensions: SIGNER })
      return { signer, trusted: [root], untrusted: [wrong, right] }
    },
  },
  {
    name: 'two certificates of one CA, of which the first leads nowhere',
    verdict: 'path',
    openssl: [false, 'it tries one of them only'],
    make: (authority) => {
      const [root, elsewhere] = [
        authority.issue({ subject: 'R' }),
        authority.issue({ subject: 'E' }),
      ]
      const dead = authority.issue({ subject: 'CA', issuer: elsewhere })
      const alive = authority.issue({ subject: 'CA', issuer: root, key: dead })
      const signer = authority.issue({ subject: 'signer', issuer: dead, extensions: SIGNER })
      return { signer, trusted: [root], untrusted: [elsewhere, dead, alive] }
    },
  },
  {
    name: 'a CA of the right name with another key',
    verdict: ['signature', /CN=signer: it is not signed by the key of the certificate CN=CA/],
    make: (authority) => {
      const [right, wrong] = [
        authority.issue({ subject: 'CA' }),
        authority.issue({ subject: 'CA' }),
      ]
      const signer = authority.issue({ subject: 'signer', issuer: right, extensions: SIGNER })
      return { signer, trusted: [wrong] }
    },
  },
  {
    name: 'two CAs that issued one another',
    limbo: 'pathological::intermediate-cycle-distinct-cas',
    verdict: ['signature', /they issued one another/],
    make: (authority) => ({
      ...loop(authority, ['A', 'B']),
      trusted: [authority.issue({ subject: 'R' })],
    }),
  },
  {
    name: 'two certificates of one CA that issued one another',
    limbo: 'pathological::intermediate-cycle-same-logical-ca',
    verdict: ['signature', /is its own issuer|they issued one another|not signed by/],
    make: (authority) => ({
      ...loop(authority, ['A', 'A']),
      trusted: [authority.issue({ subject: 'R' })],
    }),
  },
  {
    name: 'three CAs that issued one another, of which one is a root as well',
    limbo: 'cve::cve-2024-0567',
    verdict: 'path',
    make: (authority) => {
      const [a, b, c] = [
        authority.issue({ subject: 'A' }),
        authority.issue({ subject: 'B' }),
        authority.issue({ subject: 'C' }),
      ]
      const cross = [a, b, c].flatMap((key) =>
        [a, b, c].filter((issuer) => issuer !== key).map((issuer) => ({ key, issuer })),
      )
      const below = authority.issue({ subject: 'below', issuer: a })
      return {
        signer: authority.issue({ subject: 'signer', issuer: below, extensions: SIGNER }),
        trusted: [a],
        untrusted: [
          below,
          ...cross.map(({ key, issuer }) => authority.issue({ subject: key.subject, key, issuer })),
        ],
      }
    },
  },
  {
    name: 'a signer without a subject',
    verdict: 'path',
    make: chained([{}], {
      subject: '/',
      extensions: [...SIGNER, 'subjectAltName=critical,DNS:example.com'],
    }),
  },
  {
    name: 'eight certificates',
    verdict: 'path',
    make: chained(Array.from({ length: 7 }, () => ({}))),
  },
  {
    name: 'nine certificates',
    verdict: ['signature', /the path has 8 certificates already/],
    openssl: [true, 'it follows a hundred'],
    make: chained(Array.from({ length: 8 }, () => ({}))),
  },

  // Pinned: named by the caller
  {
    name: 'a pinned certificate of version 1',
    verdict: 'pinned',
    openssl: [false, 'so strictly, it wants extensions of every anchor'],
    make: pinned({ extensions: [] }),
  },
  {
    name: 'a pinned certificate with an unknown critical extension',
    verdict: 'pinned',
    openssl: [false, 'whoever pins a certificate has read it'],
    make: pinned({ extensions: [...SIGNER, UNKNOWN] }),
  },
  {
    name: 'a pinned certificate that has expired',
    verdict: ['dates', /^the certificate CN=signer: it expired on/],
    make: (authority) => ({ ...pinned({ extensions: [] })(authority), at: LATER }),
  },
  {
    name: 'a pinned certificate with a weak key',
    verdict: ['key', /its key is RSA, 1024 bits/],
    openssl: [false, 'so strictly, it wants extensions of every anchor'],
    make: pinned({ extensions: [], key: 'rsa1024' }),
  },
]

function pss(hash: string, salt: number): string[] {
  const options = ['rsa_padding_mode:pss', `rsa_mgf1_md:${hash}`, `rsa_pss_saltlen:${salt}`]
  return options.flatMap((option) => ['-sigopt', option])
}

function pinned(order: Partial<Order>): Case['make'] {
  return (authority) => {
    const signer = authority.issue({ subject: 'signer', ...order })
    return { signer, trusted: [signer] }
  }
}

/** Two CAs, each with a certificate by the other, and a signer under them. */
export function loop(
  authority: Authority,
  [first, second]: readonly [string, string],
): Omit<Judged, 'trusted'> & { readonly untrusted: readonly Issued[] } {
  const [a, b] = [authority.issue({ subject: first }), authority.issue({ subject: second })]
  const untrusted = [
    authority.issue({ subject: first, key: a, issuer: b }),
    authority.issue({ subject: second, key: b, issuer: a }),
  ]
  return {
    signer: authority.issue({ subject: 'signer', issuer: a, extensions: SIGNER }),
    untrusted,
  }
}
