import { passwordOf } from './identity.js'
import { fetchToken, request } from './rest.js'
import type { Settings } from './settings.js'
import type { Testbed } from './testbed.js'

/** Orders swift's root secret from Barbican, and returns its id. */
export async function orderSwiftSecret(
  settings: Settings,
  { keystone = '', barbican = '' }: Testbed['urls'],
): Promise<string> {
  const account = { user: 'swift', password: passwordOf(settings, 'swift'), project: 'service' }
  const token = await fetchToken(keystone, account)
  const meta = { name: 'swift root secret', algorithm: 'aes', bit_length: 256, mode: 'ctr' }
  const order = await request('POST', `${barbican}/v1/orders`, {
    token,
    body: { type: 'key', meta: { ...meta, payload_content_type: 'application/octet-stream' } },
  })
  const { order_ref: orderRef }: { order_ref: string } = JSON.parse(await order.text())
  // Barbican answers 202, and has done it by the next request.
  const done = await request('GET', orderRef, { token })
  const { secret_ref: secretRef }: { secret_ref: string } = JSON.parse(await done.text())
  return secretRef.split('/').at(-1) ?? ''
}
