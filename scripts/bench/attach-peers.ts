/**
 * The two sides of the attach benchmark as they run inside the virtual machine: one long-lived process
 * each, as nova-compute is one. A request is a line of JSON on a FIFO, and so is its answer.
 */

export const BENCH = '/run/bench'

/** The key of all volumes; what it is does not matter here, but that it looks random. */
export const KEY_HEX = '0e65cd7f17b137c2eb475dfb67790878e7108e39d0515fef02db502089cc4ace'

const VOLSEAL = `
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { attachVolume, detachVolume, Secret } from '/opt/volseal/dist/index.js'
const key = Buffer.from('${KEY_HEX}', 'hex')
const about = { type: 'symmetric', name: null, algorithm: 'aes', bitLength: 256 }
const keyManager = { fetch: async (id) => ({ id, ...about, payload: new Secret(Buffer.from(key)) }) }
const verbs = {
  attach: async ({ device, firstUse }) =>
    await attachVolume({ device, link: device, keyId: 'k', keyManager, keyIsRandom: true, ...firstUse }),
  detach: async ({ device }) => await detachVolume({ device }),
}
for await (const line of createInterface(createReadStream('', { fd: openSync('${BENCH}/volseal.in', 'r+') }))) {
  const request = JSON.parse(line)
  const began = performance.now()
  let error
  try { await verbs[request.verb](request) } catch (thrown) { error = thrown.message }
  const seconds = (performance.now() - began) / 1000
  const out = openSync('${BENCH}/volseal.out', 'w')
  writeSync(out, JSON.stringify({ seconds, error }) + '\\n')
  closeSync(out)
}
`

const OS_BRICK = `
import json, time
from os_brick import encryptors, privileged
privileged.default.set_client_mode(False)
class OneKey:
    def get(self, context, key_id):
        return self
    def get_encoded(self):
        return bytes.fromhex('${KEY_HEX}')
metadata = {'cipher': 'aes-xts-plain64', 'key_size': 256}
for line in open('${BENCH}/os-brick.in', 'r+b', buffering=0):
    request = json.loads(line)
    began, error = time.monotonic(), None
    try:
        data = {'device_path': request['device'], 'volume_id': 'volume'}
        encryptor = encryptors.get_volume_encryptor(
            root_helper='', connection_info={'driver_volume_type': 'iscsi', 'data': data}, keymgr=OneKey(),
            control_location='front-end', provider=request['provider'], encryption_key_id='key')
        if request['verb'] == 'attach':
            encryptor.attach_volume(None, **metadata)
        else:
            encryptor.detach_volume(**metadata)
    except Exception as raised:
        error = str(raised)
    with open('${BENCH}/os-brick.out', 'w') as out:
        out.write(json.dumps({'seconds': time.monotonic() - began, 'error': error}) + '\\n')
`

/** Stands before each program that either side runs, and notes it with its peak memory in KiB. */
const TRACER = `#!/usr/bin/python3
import os, sys
name = os.path.basename(sys.argv[0])
real = next(d + name for d in ('/usr/sbin/', '/sbin/', '/usr/bin/', '/bin/') if os.path.exists(d + name))
pid = os.fork()
if pid == 0:
    os.execv(real, [name] + sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
with open('${BENCH}/trace', 'a') as trace:
    trace.write('%s %d\\n' % (name, usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
`

export type SideName = 'volseal' | 'os-brick'

export const SIDES: Readonly<Record<SideName, { file: string; text: string; argv: string[] }>> = {
  volseal: { file: `${BENCH}/volseal.mjs`, text: VOLSEAL, argv: ['node', `${BENCH}/volseal.mjs`] },
  'os-brick': {
    file: `${BENCH}/os_brick_side.py`,
    text: OS_BRICK,
    argv: ['/usr/bin/python3', `${BENCH}/os_brick_side.py`],
  },
}

/** Programs whose runs are counted. */
export const TRACED: readonly string[] = [
  'cryptsetup',
  'dmsetup',
  'udevadm',
  'blkid',
  'ln',
  'blockdev',
]

export const TRACER_TEXT: string = TRACER
