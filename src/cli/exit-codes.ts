import type { ErrorCode } from '../core/errors.js'

/** Exit code of every error, and its words in `--help`. */
export const EXIT_CODES: Readonly<Record<ErrorCode, readonly [number, string]>> = {
  internal: [1, 'a defect of volseal'],
  usage: [2, 'wrong option or argument'],
  'signature-mismatch': [10, 'the image is not what was signed'],
  unsigned: [11, 'no, or not all, signature properties'],
  'signature-malformed': [12, 'property, key or certificate cannot be used'],
  'certificate-untrusted': [13, 'certificate not acceptable, or nobody vouched for it'],
  'image-unsafe': [14, 'format unsafe or not the claimed one'],
  unchecked: [15, 'could not be checked'],
  'signature-incompatible': [16, 'valid, but strict clouds refuse it'],
  'policy-refused': [17, 'the policy does not allow it'],
  'wrong-key': [20, 'the key does not open the volume'],
  'not-blank': [21, 'the device holds, or may hold, data'],
  busy: [22, 'in use'],
  'no-device': [23, 'no such device, or it cannot be encrypted here'],
  'header-damaged': [24, 'LUKS header unusable'],
  'too-small': [25, 'the target cannot hold it'],
  forbidden: [30, 'not allowed'],
  'not-found': [31, 'does not exist'],
  unavailable: [32, 'a service or program does not answer'],
  'keystore-damaged': [33, 'key store damaged, or wrong key'],
  incomplete: [40, 'some of many failed'],
  io: [50, 'read or write error, disk full'],
  interrupted: [130, 'interrupted; 143 by SIGTERM'],
  terminated: [143, 'terminated'],
}

export function exitCodeOf(code: ErrorCode): number {
  return EXIT_CODES[code][0]
}

/** Codes that come together: of commands that read or make files, among them certificates, or secrets. */
export const FILE_CODES: readonly ErrorCode[] = [
  'usage',
  'forbidden',
  'not-found',
  'io',
  'interrupted',
]
export const CERTIFICATE_CODES: readonly ErrorCode[] = [...FILE_CODES, 'signature-malformed']
export const SECRET_CODES: readonly ErrorCode[] = [...FILE_CODES, 'keystore-damaged']

/** The lines of `--help` about the codes a command can end with. */
export function exitCodeHelp(codes: readonly ErrorCode[]): string {
  const lines = codes
    .map((code) => EXIT_CODES[code])
    .toSorted(([one], [other]) => one - other)
    .map(([number, words]) => `  ${String(number).padStart(3)}  ${words}`)
  return ['Exit codes:', '    0  ok', ...lines].join('\n')
}
