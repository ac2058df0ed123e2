import { generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { VolsealError } from '../../../src/core/errors.js'
import { pemBlocks } from '../../../src/core/pem.js'
import {
  CertificateRefused,
  checkTrust,
  judgeTrust,
  readCertificates,
  readChain,
  readRevocationLists,
} from '../../../src/trust/index.js'
import { output } from '../../harness/program.js'
import { hold, type Target } from '../target.js'

/** One PEM text: the signer, what is above it, the trusted one last, and CRLs between them. */
export const TRUST_TARGETS: readonly Target[] = [
  { name: 'certificate-path', seeds: makePaths, run: judge },
  { name: 'certificate-fields', seeds: makeDers, run: judgeAlone },
  { name: 'revocation-list', seeds: makeDers, run: (bytes) => void readRevocationLists([bytes]) },
]

/** Certificates and lists in DER, where a change is not hidden behind base64. */
async function makeDers(directory: string): Promise<Buffer[]> {
  const pems = (await makePaths(directory)).map((pem) => pemBlocks(pem.toString('latin1')))
  return pems.flat().map(({ der }) => der)
}

/** Under nobody that is trusted, nothing is. */
function judgeAlone(bytes: Buffer): void {
  const [certificate] = readChain(bytes, 'it')
  const verdict = judgeTrust({ certificate, trusted: [], untrusted: [certificate] })
  hold(verdict instanceof CertificateRefused, 'nobody vouches for it')
}

/** Fingerprints of what was really issued, and of what was really revoked. */
const issued = new Set<string>()
const revoked = new Set<string>()

/** Certificates are good until the year 2100 and lists for a year, so this day suits both. */
const DAY_MS = 86_400_000

interface Made {
  readonly path: string
  readonly key: string
  readonly pem: string
}

const CA = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign'
const SIGNER = 'keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning'
const TREE = 'nameConstraints=critical,permitted;dirName:tree\n[tree]\nO=Example'

async function makePaths(directory: string): Promise<Buffer[]> {
  const root = await issue(directory, 'root', undefined, CA)
  const inner = await issue(directory, 'inner', root, `${CA}\n${TREE}`)
  const [first, second] = [
    await issue(directory, 'first', inner, SIGNER),
    await issue(directory, 'second', inner, SIGNER),
  ]
  revoked.add(fingerprintOf(second))
  const lists = [await revoke(directory, root, []), await revoke(directory, inner, [second])]
  const crls = (await Promise.all(lists.map(async (path) => await readFile(path, 'utf8')))).join('')
  return [
    [first, inner, root],
    [second, inner, root],
    [second, second, second],
  ].flatMap((certificates) => {
    const pem = certificates.map((certificate) => certificate.pem).join('')
    return [Buffer.from(pem), Buffer.from(crls + pem)]
  })
}

async function issue(
  directory: string,
  name: string,
  issuer: Made | undefined,
  extensions: string,
): Promise<Made> {
  const path = (suffix: string): string => join(directory, `${name}${suffix}`)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await writeFile(path('.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await writeFile(path('.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  await writeFile(path('.ext'), `subjectKeyIdentifier=hash\n${extensions}`)
  const by =
    issuer === undefined
      ? ['-key', path('.key')]
      : ['-force_pubkey', path('.pub'), '-CA', issuer.path, '-CAkey', issuer.key]
  const made = ['-subj', `/O=Example/CN=${name}`, '-days', '9999', '-extfile', path('.ext')]
  await output(['openssl', 'x509', '-new', ...made, ...by, '-out', path('.pem')])
  const certificate = { path: path('.pem'), key: path('.key'), pem: '' }
  const pem = await readFile(certificate.path, 'utf8')
  issued.add(fingerprintOf({ ...certificate, pem }))
  return { ...certificate, pem }
}

function fingerprintOf({ pem }: Made): string {
  return readChain(Buffer.from(pem), 'made')[0].fingerprint
}

async function revoke(directory: string, issuer: Made, those: readonly Made[]): Promise<string> {
  const name = join(directory, `${those.length}-${issuer.key.length}-crl`)
  const lines = those.map(async ({ path }) => {
    const serial = await output(['openssl', 'x509', '-in', path, '-noout', '-serial'])
    return `R\t491231235959Z\t250101000000Z\t${serial.toString().trim().slice(7)}\tunknown\t/CN=x\n`
  })
  await writeFile(`${name}.txt`, (await Promise.all(lines)).join(''))
  await writeFile(`${name}.conf`, `[ca]\ndefault_ca=here\n[here]\ndatabase=${name}.txt\n`)
  const by = ['-cert', issuer.path, '-keyfile', issuer.key, '-md', 'sha256', '-crldays', '365']
  await output([
    'openssl',
    'ca',
    '-gencrl',
    '-config',
    `${name}.conf`,
    ...by,
    '-out',
    `${name}.pem`,
  ])
  return `${name}.pem`
}

function judge(bytes: Buffer): void {
  const blocks = pemBlocks(bytes.toString('latin1'))
  const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE')
  const [signer, ...others] = certificates.map(({ text }) => Buffer.from(text, 'latin1'))
  const anchor = others.pop()
  if (signer === undefined || anchor === undefined) {
    throw new VolsealError('usage', 'there is nothing to judge')
  }
  const crls = blocks.flatMap(({ label, text }) =>
    label === 'X509 CRL' ? [Buffer.from(text)] : [],
  )
  const { trust, path, signatureChecks } = checkTrust({
    certificate: readChain(signer, 'the signer')[0],
    trusted: readCertificates([anchor], 'the anchor'),
    untrusted: readCertificates(others, 'another'),
    crls,
    at: new Date(Date.now() + DAY_MS),
  })
  hold(path.length <= 8 && signatureChecks <= 100, 'the search is bounded')
  if (trust === 'pinned') return
  for (const { fingerprint, checks } of path.slice(0, -1)) {
    // Without seeds (--replay) nobody knows what was issued.
    hold(issued.size === 0 || issued.has(fingerprint), 'only what a CA issued is accepted')
    const { result } = checks.find(({ name }) => name === 'revocation') ?? {}
    hold(result === (crls.length === 0 ? 'skipped' : 'pass'), 'revocation was looked at')
    hold(result === 'skipped' || !revoked.has(fingerprint), 'nothing revoked is accepted')
  }
}
