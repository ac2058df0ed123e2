/**
 * EMSA-PKCS1-v1_5 (RFC 8017 §9.2) read back out of an opened signature. Only to tell somebody that a
 * signature has the wrong padding: nothing is accepted by it.
 */
export interface Pkcs1Content {
  /** OpenSSL's name of the hash, such as `sha256`. */
  readonly hash: string
  readonly digest: Buffer
}

/** What a DigestInfo of each hash begins with (RFC 8017 §9.2, note 1). */
const DIGEST_INFOS: readonly (readonly [hash: string, prefix: string])[] = [
  ['md5', '3020300c06082a864886f70d020505000410'],
  ['sha1', '3021300906052b0e03021a05000414'],
  ['sha224', '302d300d06096086480165030402040500041c'],
  ['sha256', '3031300d060960864801650304020105000420'],
  ['sha384', '3041300d060960864801650304020205000430'],
  ['sha512', '3051300d060960864801650304020305000440'],
]

/** The digest in `00 01 FF … FF 00 DigestInfo`; undefined for anything else. */
export function readPkcs1(padded: Buffer): Pkcs1Content | undefined {
  const zero = padded.indexOf(0, 2)
  const isPadded = padded[0] === 0 && padded[1] === 1 && zero >= 10
  if (!isPadded || padded.subarray(2, zero).some((byte) => byte !== 0xff)) return undefined
  const info = padded.subarray(zero + 1)
  for (const [hash, text] of DIGEST_INFOS) {
    const prefix = Buffer.from(text, 'hex')
    const length = prefix[prefix.length - 1] ?? 0
    const isThis = info.subarray(0, prefix.length).equals(prefix)
    if (isThis && info.length === prefix.length + length) {
      return { hash, digest: info.subarray(prefix.length) }
    }
  }
  return undefined
}
