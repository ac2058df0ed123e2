import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLI } from '../harness/program.js'
import type { Fixtures, Signed, Volumes } from './fixtures.js'
import type { Contender } from './measure.js'

/** What a benchmark has to reach; it is reported, and fails nothing. */
export interface Bar {
  /** Most that ours may take of the peer's time. */
  readonly ratio: number
  /** Most memory that ours may take, in bytes. */
  readonly rssBytes: number
}

export interface Row {
  readonly name: string
  /** A command that succeeds where the peer is installed. */
  readonly needs: readonly string[]
  /** Makes what both sides need, and says how each is run. */
  readonly prepare: (fixtures: Fixtures) => Promise<Pair>
  readonly bar?: Bar
}

export interface Pair {
  readonly ours: Contender
  readonly peer: Contender
}

const AS_FAST_AS_OPENSSL: Bar = { ratio: 1, rssBytes: 120e6 }
/** What a volume of a random key has over one whose key derivation is cryptsetup's default. */
const FIFTY_TIMES: Bar = { ratio: 1 / 50, rssBytes: 20e6 }
const OPENSSL = ['openssl', 'version']
const CURSIVE = ['/usr/bin/python3', '-c', 'import cursive']
const CRYPTSETUP = ['cryptsetup', '--version']

const PSS = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:max']

/** To add a benchmark, add a row. */
export const ROWS: readonly Row[] = [
  {
    name: 'sign RSA-PSS SHA-256',
    needs: OPENSSL,
    bar: AS_FAST_AS_OPENSSL,
    prepare: async (fixtures) => await signing(fixtures, fixtures.rsa, 'SHA-256', PSS),
  },
  {
    name: 'verify RSA-PSS SHA-256',
    needs: OPENSSL,
    bar: AS_FAST_AS_OPENSSL,
    prepare: async (fixtures) => await verifying(fixtures, fixtures.rsa, 'SHA-256', PSS),
  },
  {
    name: 'sign ECC_SECP384R1 SHA-384',
    needs: OPENSSL,
    prepare: async (fixtures) => await signing(fixtures, fixtures.p384, 'SHA-384', []),
  },
  {
    name: 'verify ECC_SECP384R1 SHA-384',
    needs: OPENSSL,
    prepare: async (fixtures) => await verifying(fixtures, fixtures.p384, 'SHA-384', []),
  },
  { name: 'verify RSA-PSS, cursive', needs: CURSIVE, prepare: verifyingWithCursive },
  {
    name: 'start-up: --version',
    needs: [process.execPath, '--version'],
    prepare: async () =>
      await Promise.resolve({
        ours: volsealRun('--version'),
        peer: command('node -e 0', process.execPath, '-e', '0'),
      }),
  },
  {
    name: 'open LUKS1',
    needs: CRYPTSETUP,
    bar: FIFTY_TIMES,
    prepare: async ({ luks }) => openingVolumes(await luks()),
  },
  {
    name: 'open LUKS2',
    needs: CRYPTSETUP,
    bar: FIFTY_TIMES,
    prepare: async ({ luks2 }) => openingVolumes(await luks2()),
  },
  {
    // The same work: what the command itself costs.
    name: 'the key of LUKS2: luks check',
    needs: CRYPTSETUP,
    prepare: async ({ luks2 }) => checkingKey(await luks2()),
  },
  {
    name: 'the header of LUKS2: luks inspect',
    needs: CRYPTSETUP,
    prepare: async ({ luks2 }) => showingHeader(await luks2()),
  },
]

async function signing(
  { image }: Fixtures,
  signed: () => Promise<Signed>,
  hash: string,
  sigopts: readonly string[],
): Promise<Pair> {
  const path = await image()
  const { key, scratch } = await signed()
  const digest = digestOption(hash)
  const out = join(scratch, 'openssl.signature')
  return {
    ours: volsealRun('sign', path, '--key', key, '--hash', hash, '--out', scratch),
    peer: opensslRun('dgst', digest, '-sign', key, ...sigopts, '-out', out, path),
  }
}

async function verifying(
  { image }: Fixtures,
  signed: () => Promise<Signed>,
  hash: string,
  sigopts: readonly string[],
): Promise<Pair> {
  const path = await image()
  const { publicKey, signature } = await signed()
  const check = ['-verify', publicKey, ...sigopts, '-signature', signature]
  return {
    ours: await ourVerification(path, signed),
    peer: opensslRun('dgst', digestOption(hash), ...check, path),
  }
}

async function ourVerification(image: string, signed: () => Promise<Signed>): Promise<Contender> {
  const { certificate, properties } = await signed()
  return volsealRun('verify', image, '--cert', certificate, '--properties', properties)
}

/** The verifier that nova, glance and cinder use, without their key manager. */
const CURSIVE_VERIFY = `
import sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cursive import signature_utils

public, signature, image = sys.argv[1:]
with open(public, 'rb') as file:
    key = load_pem_public_key(file.read())
with open(signature, 'rb') as file:
    verifier = signature_utils.SignatureKeyType.lookup('RSA-PSS').create_verifier(
        file.read(), signature_utils.get_hash_method('SHA-256'), key)
with open(image, 'rb', buffering=0) as file:
    while chunk := file.read(1024 * 1024):
        verifier.update(chunk)
verifier.verify()
`

async function verifyingWithCursive({ directory, image, rsa }: Fixtures): Promise<Pair> {
  const path = await image()
  const { publicKey, signature } = await rsa()
  const script = join(directory, 'cursive_verify.py')
  await writeFile(script, CURSIVE_VERIFY)
  return {
    ours: await ourVerification(path, rsa),
    peer: command('cursive', '/usr/bin/python3', script, publicKey, signature, path),
  }
}

/** One program, two headers: what the key derivation costs that a random key does not need. */
function openingVolumes({ ours, theirs, passphrase }: Volumes): Pair {
  const open = ['cryptsetup', 'open', '--test-passphrase', '--key-file', passphrase]
  return {
    ours: command('volseal luks format', ...open, ours),
    peer: command("os-brick's luksFormat", ...open, theirs),
  }
}

/** One volume, and the question whether a key opens it. */
function checkingKey({ ours, passphrase, keyOptions }: Volumes): Pair {
  const open = ['open', '--test-passphrase', '--key-file', passphrase]
  return {
    ours: volsealRun('luks', 'check', ours, ...keyOptions),
    peer: command('cryptsetup', 'cryptsetup', ...open, ours),
  }
}

/** One volume, and what stands in its header. */
function showingHeader({ ours }: Volumes): Pair {
  return {
    ours: volsealRun('luks', 'inspect', ours),
    peer: command('cryptsetup', 'cryptsetup', 'luksDump', ours),
  }
}

/** `SHA-256` as `openssl dgst` has it. */
function digestOption(hash: string): string {
  return `-${hash.replace('-', '').toLowerCase()}`
}

function volsealRun(...args: readonly string[]): Contender {
  return command('volseal', process.execPath, CLI, ...args)
}

function opensslRun(...args: readonly string[]): Contender {
  return command('openssl', 'openssl', ...args)
}

function command(label: string, ...argv: readonly string[]): Contender {
  return { label, argv }
}
