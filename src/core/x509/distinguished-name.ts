import { VolsealError } from '../errors.js'
import { Name } from './library.js'

/** Attribute types that the library does not know by name (RFC 4519, RFC 2985), or only as `E`. */
const MORE_NAMES: Readonly<Record<string, string>> = {
  emailAddress: '1.2.840.113549.1.9.1',
  serialNumber: '2.5.4.5',
  UID: '0.9.2342.19200300.100.1.1',
}

/** RFC 4514 text as a name. @throws {VolsealError} `usage` */
export function parseName(subject: string): Name {
  if (subject.startsWith('/')) {
    const comma = subject.slice(1).replaceAll(',', String.raw`\,`).replaceAll('/', ',')
    throw badName(subject, undefined, `attributes are parted by commas: "${comma}"`)
  }
  try {
    const name = new Name(subject, MORE_NAMES)
    const attributes = name.toJSON().flatMap((part) => Object.entries(part))
    if (attributes.length > 0 && attributes.every(isSound)) return name
  } catch (error) {
    throw badName(subject, error)
  }
  throw badName(subject)
}

/** The library's parser skips what it does not understand; a value with `=` in it shows that. */
function isSound([type, values]: [string, readonly string[]]): boolean {
  const isCountry = type === 'C'
  return values.every((value) =>
    isCountry ? /^[A-Za-z]{2}$/.test(value) : value !== '' && !value.includes('='),
  )
}

function badName(subject: string, cause?: unknown, hint?: string): VolsealError {
  return new VolsealError(
    'usage',
    `--subject: expected a distinguished name such as "CN=image signing,O=Example", got ${JSON.stringify(subject)}`,
    {
      cause,
      hint: hint ?? 'known attributes: CN, O, OU, L, ST, C, DC, emailAddress, serialNumber, UID',
    },
  )
}
