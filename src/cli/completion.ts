/** Completion scripts, made from the commands themselves so that they cannot lag behind. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** What completion needs to know of one command. */
export interface CommandShape {
  /** Its words, such as `cert create`. */
  readonly path: string
  readonly summary: string
  readonly options: readonly OptionShape[]
  /** The words that its first argument may be; empty when it is a file or free text. */
  readonly words: readonly string[]
}

export interface OptionShape {
  /** With its dashes. */
  readonly name: string
  readonly summary: string
  /** The words that its value may be. */
  readonly choices: readonly string[]
}

export function completionScript(shell: Shell, commands: readonly CommandShape[]): string {
  return SCRIPTS[shell](commands)
}

const SCRIPTS: Readonly<Record<Shell, (commands: readonly CommandShape[]) => string>> = {
  bash: bashScript,
  zsh: (commands) => `autoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`,
  fish: fishScript,
}

/** The words that may follow those of a group; first words for the empty one. */
function wordsBelow(commands: readonly CommandShape[], group: string): string[] {
  const depth = group === '' ? 0 : group.split(' ').length
  const below = commands.filter(({ path }) => group === '' || path.startsWith(`${group} `))
  return [...new Set(below.map(({ path }) => path.split(' ')[depth] ?? ''))].filter(Boolean)
}

/** Words that do not make a command yet: `swift`, `swift rootkey`. */
function groupsOf(commands: readonly CommandShape[]): string[] {
  const groups = commands.flatMap(({ path }) => {
    const words = path.split(' ')
    return words.slice(1).map((_, index) => words.slice(0, index + 1).join(' '))
  })
  return [...new Set(groups)]
}

/**
 * Finds the command in the words before the cursor, then offers the values of the option before it,
 * its options after a dash, or its words. Where it offers nothing, `-o default` offers files; with
 * `-o filenames` a directory called `sign` would turn the command into `sign/`.
 */
function bashScript(commands: readonly CommandShape[]): string {
  const groups = groupsOf(commands)
  return `# bash completion of volseal: eval "$(volseal completion bash)"
_volseal() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local path="" words="" at=1
  while [ "$at" -lt "$COMP_CWORD" ]; do
    path="\${path:+$path }\${COMP_WORDS[at]}"
    case "$path" in ${groups.map((group) => `"${group}"`).join('|')}) at=$((at + 1)) ;; *) break ;; esac
  done
  COMPREPLY=()
  if [ "$at" -eq "$COMP_CWORD" ]; then
    case "$path" in
${['', ...groups].map((group) => `      "${group}") COMPREPLY=($(compgen -W "${wordsBelow(commands, group).join(' ')}" -- "$cur")); return ;;`).join('\n')}
    esac
  fi
  case "$path:$prev" in
${commands.flatMap(bashChoices).join('\n')}
  esac
  if [ -z "$words" ]; then
    case "$path" in
${commands.map(bashWords).join('\n')}
    esac
  fi
  [ -n "$words" ] && COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _volseal volseal`
}

function bashChoices({ path, options }: CommandShape): string[] {
  return options
    .filter(({ choices }) => choices.length > 0)
    .map(({ name, choices }) => `    "${path}:${name}") words="${choices.join(' ')}" ;;`)
}

function bashWords({ path, options, words }: CommandShape): string {
  const names = options.map(({ name }) => name).join(' ')
  const free = words.length > 0 ? `words="${words.join(' ')}"` : ':'
  return `      "${path}") case "$cur" in -*) words="${names}" ;; *) ${free} ;; esac ;;`
}

function fishScript(commands: readonly CommandShape[]): string {
  const groups = groupsOf(commands)
  const first = commands
    .filter(({ path }) => !path.includes(' '))
    .map(({ path, summary }) => fishWord('__fish_use_subcommand', path, summary))
  const heads = groups.map((group) => fishNext(group, `${group} commands`))
  return [
    '# fish completion of volseal: volseal completion fish | source',
    'complete -c volseal -f -n __fish_use_subcommand',
    ...first,
    ...heads,
    ...commands.flatMap(fishCommand),
  ].join('\n')
}

function fishCommand({ path, summary, options, words }: CommandShape): string[] {
  const seen = path.split(' ').map(fishSeen).join('; and ')
  return [
    ...(path.includes(' ') ? [fishNext(path, summary)] : []),
    ...words.map((word) => fishWord(seen, word, '')),
    ...options.map((option) => fishOption(seen, option)),
  ]
}

/** Offers the last word of a path behind the others. */
function fishNext(path: string, summary: string): string {
  const words = path.split(' ')
  const before = words.slice(0, -1).map(fishSeen)
  const place = `test (count (commandline -opc)) -eq ${words.length}`
  const condition =
    before.length === 0 ? '__fish_use_subcommand' : [...before, place].join('; and ')
  return fishWord(condition, words.at(-1) ?? '', summary)
}

function fishSeen(word: string): string {
  return `__fish_seen_subcommand_from ${word}`
}

function fishWord(condition: string, word: string, summary: string): string {
  return `complete -c volseal -f -n ${quote(condition)} -a ${word} -d ${quote(summary)}`
}

function fishOption(condition: string, { name, summary, choices }: OptionShape): string {
  const values = choices.length === 0 ? '' : ` -x -a ${quote(choices.join(' '))}`
  return `complete -c volseal -n ${quote(condition)} -l ${name.slice(2)}${values} -d ${quote(summary)}`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`\'`)}'`
}
