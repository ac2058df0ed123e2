import { isUuid } from './check.js'

/**
 * An id of Barbican's out of img_signature_certificate_uuid, as barbicanclient finds it (base.py,
 * `validate_ref_and_return_uuid`): the last part of a URL, as Python's `uuid.UUID` reads it, which takes
 * upper case, braces, `urn:uuid:` and no hyphens as well.
 */
export type BarbicanId =
  | { readonly kind: 'id'; readonly id: string; readonly isCanonical: boolean }
  /** A UUID, but not of version 4: Barbican says 404 without looking. */
  | { readonly kind: 'not-v4' }
  /** castellan refuses it before it asks anybody. */
  | { readonly kind: 'empty' }
  /** barbicanclient raises a ValueError. */
  | { readonly kind: 'no-uuid' }

export function readBarbicanId(text: string): BarbicanId {
  if (text === '') return { kind: 'empty' }
  const last = lastPart(text)
  const digits = last
    .replaceAll('urn:', '')
    .replaceAll('uuid:', '')
    .replace(/^[{}]+/, '')
    .replace(/[{}]+$/, '')
    .replaceAll('-', '')
    .toLowerCase()
  if (!/^[0-9a-f]{32}$/.test(digits)) return { kind: 'no-uuid' }
  const id = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return isUuid(id) ? { kind: 'id', id, isCanonical: last === id } : { kind: 'not-v4' }
}

/** Python's `ref.rstrip('/').rsplit('/', 1)[-1]`. */
function lastPart(text: string): string {
  const parts = text.split('/')
  return parts.findLast((part) => part !== '') ?? ''
}

/** The id in it; the text itself when there is none in it. */
export function barbicanIdOr(text: string): string {
  const named = readBarbicanId(text)
  return named.kind === 'id' ? named.id : text
}
