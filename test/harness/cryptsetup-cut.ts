import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * When a kill comes: `instead` of the change, `during` it (which then ends by itself, as nobody
 * waits for it), or `after` it, before anybody has heard of its end. `interrupt`: no kill, but SIGINT
 * while the change is made.
 */
export type Moment = 'instead' | 'during' | 'after' | 'interrupt'

const SCRIPT = `#!/bin/sh
real=/usr/sbin/cryptsetup
[ -x $real ] || real=/sbin/cryptsetup
case "$1 $2" in
  luksAddKey*|luksKillSlot*|luksConvertKey*|'token import'|'token remove') ;;
  *) exec $real "$@" ;;
esac
count=$(($(cat "$CUT_DIR/count" 2>/dev/null || echo 0) + 1))
echo $count >"$CUT_DIR/count"
[ "$count" = "$CUT_AT" ] || exec $real "$@"
case $CUT_MOMENT in
  instead) kill -9 $PPID ;;
  during) kill -9 $PPID; sleep 0.3; exec $real "$@" ;;
  after) $real "$@"; kill -9 $PPID ;;
  interrupt) kill -INT $PPID; sleep 0.3; exec $real "$@" ;;
esac
`

/**
 * Variables that make the nth change of a header by a program (the cryptsetup that it finds first)
 * end that program by SIGKILL, or interrupt it.
 */
export function cutAtChange(
  scratch: string,
  path: string,
  nth: number,
  moment: Moment,
): Record<string, string> {
  const directory = mkdtempSync(join(scratch, 'cut-'))
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'cryptsetup'), SCRIPT, { mode: 0o755 })
  return {
    PATH: `${bin}:${path}`,
    CUT_DIR: directory,
    CUT_AT: String(nth),
    CUT_MOMENT: moment,
  }
}

/** How many changes there were under those variables. */
export function changesMade(env: Record<string, string>): number {
  return Number(readFileSync(join(env['CUT_DIR'] ?? '', 'count'), 'utf8'))
}
