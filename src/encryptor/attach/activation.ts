/** How a mapping is set up, beside what the header says; none of it changes the volume. */
export interface Activation {
  /**
   * Lets discards through: the storage gets its room back, and whoever sees the storage learns which
   * blocks are not in use.
   */
  readonly discard?: boolean | undefined
  /** Reads and decrypts in the caller's context, no work queue: faster on SSDs (kernel 5.9). */
  readonly noReadWorkqueue?: boolean | undefined
  /** The same for writes. */
  readonly noWriteWorkqueue?: boolean | undefined
}

/** cryptsetup's option, and the kernel's word in the table (Documentation/admin-guide/device-mapper/dm-crypt). */
const OPTIONS: readonly [keyof Activation, option: string, word: string][] = [
  ['discard', '--allow-discards', 'allow_discards'],
  ['noReadWorkqueue', '--perf-no_read_workqueue', 'no_read_workqueue'],
  ['noWriteWorkqueue', '--perf-no_write_workqueue', 'no_write_workqueue'],
]

export function activationArgs(activation: Activation): string[] {
  return OPTIONS.flatMap(([name, option]) => (activation[name] === true ? [option] : []))
}

/** What is asked for of a mapping that is open without it, in the kernel's words. */
export function lackingWords(
  activation: Activation,
  table: { options: readonly string[] },
): string[] {
  return OPTIONS.flatMap(([name, , word]) =>
    activation[name] === true && !table.options.includes(word) ? [word] : [],
  )
}
