/** `512M`, `2G` or plain bytes. */
export function bytesOf(size: string | number): number {
  const [, digits = '', unit = ''] = /^(\d{1,12})([KMG]?)$/.exec(String(size)) ?? []
  if (digits !== '') return Number(digits) * 1024 ** ' KMG'.indexOf(unit || ' ')
  throw new Error(`expected a size such as 512M or 2G, got ${size}`)
}
