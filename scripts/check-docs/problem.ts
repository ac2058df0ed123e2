import type { ProgramResult } from '../harness/program.js'

/** What is wrong, and where. */
export interface Problem {
  readonly document: string
  readonly line: number
  readonly message: string
}

/** What a program that failed said. */
export function described({ code, stdout, stderr }: ProgramResult): string {
  const said = `${stdout.toString()}${stderr}`.trimEnd()
  return `exit code ${code ?? 'none (killed)'}${said === '' ? '' : `\n${said}`}`
}
