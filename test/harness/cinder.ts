import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { queryCinder } from './openstack.js'
import { type Api, jsonOf, openApi } from './openstack-api.js'
import { runProgram } from './program.js'
import type { Testbed } from './testbed.js'

/** cinder's volumes as its API, its database and its files show them. */

/** What cinder writes for a key that is the fixed key of its own key manager. */
export const ZERO_KEY_ID = '00000000-0000-0000-0000-000000000000'

const PATIENCE_MS = 30_000
const KINDS = { volume: 'volumes', snapshot: 'snapshots', backup: 'backups' } as const
export type CinderKind = keyof typeof KINDS

export interface CinderResource {
  readonly id: string
  readonly status: string
}

/** Asks again until an answer is as wanted; the last one is in the error. */
export async function untilTrue<T>(
  ask: () => Promise<T>,
  isWanted: (answer: T) => boolean,
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS
  let answer = await ask()
  while (!isWanted(answer)) {
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(answer)}`)
    await sleep(100)
    answer = await ask()
  }
  return answer
}

/** Makes a volume type whose volumes are encrypted with qemu's LUKS, and returns its name. */
export async function makeEncryptedType(testbed: Testbed): Promise<string> {
  const ask = await openApi(testbed, 'admin', 'cinder')
  const name = `LUKS-${Date.now()}`
  const made = ask('POST', '/types', { json: { volume_type: { name } } })
  const { volume_type: type } = await jsonOf<{ volume_type: CinderResource }>(made)
  const encryption = {
    provider: 'luks',
    cipher: 'aes-xts-plain64',
    key_size: 256,
    control_location: 'front-end',
  }
  await jsonOf(ask('POST', `/types/${type.id}/encryption`, { json: { encryption } }))
  return name
}

/** Makes a volume, snapshot or backup, and waits until it is there. */
export async function makeResource(
  ask: Api,
  kind: CinderKind,
  wanted: Readonly<Record<string, unknown>>,
): Promise<string> {
  const path = `/${KINDS[kind]}`
  const made = ask('POST', path, { json: { [kind]: wanted } })
  const { id } = resourceOf(await jsonOf<Record<string, CinderResource>>(made), kind)
  const show = async (): Promise<CinderResource> =>
    resourceOf(await jsonOf<Record<string, CinderResource>>(ask('GET', `${path}/${id}`)), kind)
  const { status } = await untilTrue(show, (resource) => !resource.status.endsWith('ing'))
  if (status !== 'available') throw new Error(`the ${kind} is ${status}, see cinder's log`)
  return id
}

function resourceOf(answer: Record<string, CinderResource>, kind: CinderKind): CinderResource {
  const resource = answer[kind]
  if (resource === undefined) throw new Error(`no ${kind} in ${JSON.stringify(answer)}`)
  return resource
}

/** `encryption_key_id` of a row in cinder's database. */
export async function keyIdOf(testbed: Testbed, kind: CinderKind, id: string): Promise<string> {
  const statement = `select encryption_key_id from ${KINDS[kind]} where id = '${id}'`
  const [row] = await queryCinder(testbed, statement)
  return row?.[0] ?? ''
}

/** The file of a volume: qcow2, with qemu's LUKS in it when it is encrypted. */
export function volumeFile(testbed: Testbed, id: string): string {
  return join(testbed.paths.cinderShare, `volume-${id}`)
}

/** Whether qemu opens an encrypted volume with a passphrase. */
export async function qemuOpens(file: string, passphrase: string): Promise<boolean> {
  const secret = join(mkdtempSync(join(tmpdir(), 'volseal-test-')), 'passphrase')
  writeFileSync(secret, passphrase, { mode: 0o600 })
  const object = `secret,id=s,format=raw,file=${secret}`
  const options = `driver=qcow2,encrypt.key-secret=s,file.filename=${file}`
  const { code } = await runProgram('qemu-img', [
    'map',
    '--object',
    object,
    '--image-opts',
    options,
  ])
  rmSync(dirname(secret), { recursive: true })
  return code === 0
}
