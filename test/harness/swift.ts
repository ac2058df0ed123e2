import { outputOf } from './program.js'

/** Whether Swift's own keymaster starts with that file, and what it says if not. */
export async function swiftStarts(keymasterConf: string): Promise<string> {
  const script = `
import sys
from swift.common.middleware.crypto.kms_keymaster import KmsKeyMaster
try:
    master = KmsKeyMaster(None, {'keymaster_config_path': sys.argv[1]})
    print('starts with', len(master.root_secret), 'bytes')
except Exception as error:
    print('%s: %s' % (type(error).__name__, error))`
  const said = await outputOf('/usr/bin/python3', ['-W', 'ignore', '-c', script, keymasterConf])
  return said.trim().split('\n').at(-1) ?? ''
}
