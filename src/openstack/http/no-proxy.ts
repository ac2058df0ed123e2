import { BlockList, isIP } from 'node:net'

/** A name with all below it, an address or a network, that is asked without a proxy. */
export interface DirectRule {
  /** Undefined for all of them. */
  readonly port: number | undefined
  /** Whether it is about that host: a name in small letters, or an address without brackets. */
  readonly covers: (host: string) => boolean
}

const BITS: Readonly<Record<number, number>> = { 4: 32, 6: 128 }
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/**
 * Reads NO_PROXY as Python's requests and curl do: names with all below them, with or without a dot or
 * `*.` before; addresses; networks such as 10.0.0.0/8 and, as for curl, fd00::/8; each name and address
 * with a port, if wanted; `*` alone for everything.
 */
export function directRules(text: string): DirectRule[] {
  if (text.trim() === '*') return [{ port: undefined, covers: () => true }]
  const entries = text.split(/[,\s]+/).filter((entry) => entry !== '')
  return entries.map((entry) => networkRule(entry) ?? addressRule(entry) ?? nameRule(entry))
}

/** Whether a proxy is passed by. No name is looked up for it: which address it has is not asked. */
export function isDirect(url: URL, rules: readonly DirectRule[]): boolean {
  const port = Number(url.port) || DEFAULT_PORTS[url.protocol]
  const host = withoutBrackets(url.hostname).toLowerCase()
  return rules.some((rule) => (rule.port === undefined || rule.port === port) && rule.covers(host))
}

/** `10.0.0.0/8`, `fd00::/8`. Neither requests nor curl know a network of all addresses. */
function networkRule(entry: string): DirectRule | undefined {
  const [, network = '', length = ''] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? []
  const address = withoutBrackets(network)
  const most = BITS[isIP(address)] ?? 0
  const bits = Number(length)
  return bits < 1 || bits > most ? undefined : inSubnet(address, bits, undefined)
}

/** `10.0.0.1`, `10.0.0.1:5000`, `::1`, `[::1]` and `[::1]:5000`. */
function addressRule(entry: string): DirectRule | undefined {
  const { name, port } = splitPort(entry)
  const address = withoutBrackets(name)
  const bits = BITS[isIP(address)]
  return bits === undefined ? undefined : inSubnet(address, bits, port)
}

function inSubnet(address: string, bits: number, port: number | undefined): DirectRule {
  const list = new BlockList()
  list.addSubnet(address, bits, familyOf(address))
  return { port, covers: (host) => isIP(host) !== 0 && list.check(host, familyOf(host)) }
}

/** On the border of a part only: requests takes any end of a name, and so a stranger's name, too. */
function nameRule(entry: string): DirectRule {
  const { name, port } = splitPort(entry)
  const above = name.replace(/^\*?\./, '').toLowerCase()
  return {
    port,
    covers: (host) => isIP(host) === 0 && (host === above || host.endsWith(`.${above}`)),
  }
}

function splitPort(entry: string): { name: string; port: number | undefined } {
  const parts = isIP(entry) === 0 ? /^(.+):(\d+)$/.exec(entry) : null
  return parts === null
    ? { name: entry, port: undefined }
    : { name: parts[1] ?? '', port: Number(parts[2]) }
}

function withoutBrackets(host: string): string {
  return host.replaceAll(/^\[|\]$/g, '')
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}
