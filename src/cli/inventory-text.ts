import type { InventoryImage } from '../face/image-inventory.js'
import { counted, table } from './text.js'

/** The inventory for people, for spreadsheets and for browsers. */

export const INVENTORY_FORMATS = ['text', 'csv', 'html'] as const
export type InventoryFormat = (typeof INVENTORY_FORMATS)[number]

export function inventoryText(
  images: readonly InventoryImage[],
  format: InventoryFormat,
  cloud: string,
): string {
  if (format === 'csv') return csv(images)
  if (format === 'html') return html(images, cloud)
  if (images.length === 0) return 'no images'
  return `${table(HEADING, images.map(cells))}\n\n${summary(images)}`
}

const HEADING = ['ID', 'STATE', 'READ', 'KEY TYPE', 'CERTIFICATE TO', 'NAME', 'REASON']

function cells(image: InventoryImage): string[] {
  return [
    image.id,
    image.state,
    image.verified ? 'yes' : '-',
    image.keyType ?? '-',
    image.certificate?.notAfter.slice(0, 10) ?? '-',
    image.name ?? '-',
    image.reason ?? '',
  ]
}

function summary(images: readonly InventoryImage[]): string {
  return [counted(images.length, 'image'), ...stateCounts(images)].join(', ')
}

function stateCounts(images: readonly InventoryImage[]): string[] {
  const counts = new Map<string, number>()
  for (const { state } of images) counts.set(state, (counts.get(state) ?? 0) + 1)
  return [...counts].toSorted(([a], [b]) => a.localeCompare(b)).map(([state, n]) => `${n} ${state}`)
}

const COLUMNS: readonly (readonly [string, (image: InventoryImage) => string | number | null])[] = [
  ['id', ({ id }) => id],
  ['name', ({ name }) => name],
  ['state', ({ state }) => state],
  ['reason', ({ reason }) => reason],
  ['verified', ({ verified }) => (verified ? 'yes' : 'no')],
  ['verified_at', ({ verifiedAt }) => verifiedAt],
  ['status', ({ status }) => status],
  ['visibility', ({ visibility }) => visibility],
  ['owner', ({ owner }) => owner],
  ['size', ({ size }) => size],
  ['created', ({ created }) => created],
  ['key_type', ({ keyType }) => keyType],
  ['hash', ({ hash }) => hash],
  ['certificate_id', ({ certificateId }) => certificateId],
  ['certificate_subject', ({ certificate }) => certificate?.subject ?? null],
  ['certificate_not_after', ({ certificate }) => certificate?.notAfter ?? null],
  ['days_left', ({ daysLeft }) => daysLeft],
]

/** RFC 4180, with the line ends of this system. */
function csv(images: readonly InventoryImage[]): string {
  const lines = images.map((image) => COLUMNS.map(([, value]) => csvCell(value(image))).join(','))
  return [COLUMNS.map(([name]) => name).join(','), ...lines].join('\n')
}

/** A name that anybody chose must not become a formula in a spreadsheet. */
function csvCell(value: string | number | null): string {
  if (typeof value !== 'string') return value === null ? '' : String(value)
  // Some spreadsheets part cells at semicolons and tabs, too.
  const harmless = /(^|[;\t\r\n])\s*[=+\-@]/.test(value)
    ? `'${value.replaceAll(/[;\t]/g, ' ')}`
    : value
  const plain = harmless.replaceAll(/[\r\n]+/g, ' ')
  return /[",;]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

const STYLE = `body{font:14px system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse}
th,td{text-align:left;padding:.3em .8em;border-bottom:1px solid #ddd;vertical-align:top}
td:first-child{font-family:monospace}.good{color:#17663a}.soon{color:#8a5a00}.bad{color:#a01515;font-weight:600}`

const LOOKS: Readonly<Record<string, string>> = { signed: 'good', expiring: 'soon', unsigned: '' }

/** One file without scripts, for a browser or a mail. */
function html(images: readonly InventoryImage[], cloud: string): string {
  const title = `Images of ${cloud}`
  const head = HEADING.map((name) => `<th>${escaped(name)}</th>`).join('')
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title><style>${STYLE}</style></head>
<body><h1>${escaped(title)}</h1>
<p>${escaped(summary(images))}; ${new Date().toISOString()}</p>
<table><thead><tr>${head}</tr></thead><tbody>
${images.map(htmlRow).join('\n')}
</tbody></table></body></html>`
}

function htmlRow(image: InventoryImage): string {
  const look = LOOKS[image.state] ?? 'bad'
  const columns = cells(image).map((cell, index) =>
    index === 1 ? `<td class="${look}">${escaped(cell)}</td>` : `<td>${escaped(cell)}</td>`,
  )
  return `<tr>${columns.join('')}</tr>`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? '')
}
