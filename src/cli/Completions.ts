import type { Parameter } from "./Manual.ts"
import type { Page } from "./Pages.ts"

const files = new Set(["file", "folder", "path", "database"])

const isFile = ({ names, value }: Parameter) =>
  files.has(value ?? "") || names.some((name) => files.has(name.replace(/[<>]/g, "")))

const help: Parameter = {
  names: ["-h", "--help"],
  value: null,
  choices: [],
  about: "Show the command's help",
  isRequired: false,
  isRepeated: false
}

const optionsOf = ({ manual }: Page) => [...manual.options, help]

const shells = ["bash", "zsh", "fish"]
const mainOptions = ["--help", "--version", "--completions"]

const bash = (pages: ReadonlyArray<Page>) => {
  const values = pages.flatMap((page) =>
    page.manual.options
      .filter((option) => option.value !== null)
      .map((option) => {
        const pattern = option.names.map((name) => `"${page.name} ${name}"`).join("|")
        if (option.choices.length > 0) return `    ${pattern}) words="${option.choices.join(" ")}" ;;`
        return isFile(option) ? `    ${pattern}) files=1 ;;` : `    ${pattern}) return ;;`
      })
  )
  const commands = pages.map((page) => {
    const words = optionsOf(page).flatMap(({ names }) => names)
    const takesFile = page.manual.args.some(isFile) ? `; [[ $cur != -* ]] && files=1` : ""
    return `        ${page.name}) words="${words.join(" ")}"${takesFile} ;;`
  })
  const names = pages.map((page) => page.name)
  return `_orders() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="" words="" files="" word
  # --name=value comes as three words.
  if [[ $cur == "=" ]]; then
    cur=""
  elif [[ $prev == "=" ]]; then
    prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
    ${names.join("|")}) command="$word"; break ;;
    esac
  done
  COMPREPLY=()
  case "$command $prev" in
    " --completions") words="${shells.join(" ")}" ;;
${values.join("\n")}
    *)
      case "$command" in
        "") words="${[...names, ...mainOptions].join(" ")}" ;;
${commands.join("\n")}
      esac ;;
  esac
  if [[ -n $files ]]; then
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _orders orders`
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

const zsh = (pages: ReadonlyArray<Page>) => {
  const escaped = (text: string) => text.replace(/[[\]:\\]/g, "\\$&")
  const action = (parameter: Parameter) =>
    parameter.choices.length > 0 ? `(${parameter.choices.join(" ")})` : isFile(parameter) ? "_files" : "( )"
  const option = (parameter: Parameter) => {
    const { about, isRepeated, names, value } = parameter
    const valued = value === null ? "" : `:value:${action(parameter)}`
    const excluded = isRepeated ? "*" : names.length > 1 ? `(${names.join(" ")})` : ""
    return names.map((name) => quoted(`${excluded}${name}[${escaped(about)}]${valued}`))
  }
  const argument = (parameter: Parameter) => quoted(`:${escaped(parameter.about)}:${action(parameter)}`)
  const specs = (page: Page) => [...optionsOf(page).flatMap(option), ...page.manual.args.map(argument)]
  return `#compdef orders
_orders() {
  local -a commands
  commands=(
${pages.map((page) => `    ${quoted(`${page.name}:${page.manual.about}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    compadd -- ${mainOptions.join(" ")}
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$command" in
    --completions) compadd -- ${shells.join(" ")} ;;
${pages.map((page) => `    ${page.name}) _arguments \\\n      ${specs(page).join(" \\\n      ")} ;;`).join("\n")}
  esac
}
if [ "$funcstack[1]" = "_orders" ]; then _orders "$@"; else compdef _orders orders; fi`
}

const fish = (pages: ReadonlyArray<Page>) => {
  const option = (page: Page) => (parameter: Parameter) => {
    const { about, choices, names, value } = parameter
    const called = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
    const values = choices.length > 0 ? ` -a '${choices.join(" ")}'` : ""
    const valued = value === null ? "" : isFile(parameter) ? " -r -F" : ` -x${values}`
    return `complete -c orders -n '__fish_seen_subcommand_from ${page.name}' ${called.join(" ")}${valued} -d ${quoted(about)}`
  }
  return [
    "complete -c orders -f",
    "complete -c orders -n __fish_use_subcommand -l help -s h -d 'Show the help'",
    "complete -c orders -n __fish_use_subcommand -l version -d 'Show the version'",
    `complete -c orders -n __fish_use_subcommand -l completions -x -a '${shells.join(" ")}'`,
    ...pages.flatMap((page) => [
      `complete -c orders -n __fish_use_subcommand -a ${page.name} -d ${quoted(page.manual.about)}`,
      ...(page.manual.args.some(isFile) ? [`complete -c orders -n '__fish_seen_subcommand_from ${page.name}' -F`] : []),
      ...optionsOf(page).map(option(page))
    ])
  ].join("\n")
}

/** What a shell reads to complete the command line, by the shell's name. */
export const completions: ReadonlyMap<string, (pages: ReadonlyArray<Page>) => string> = new Map([
  ["bash", bash],
  ["zsh", zsh],
  ["fish", fish]
])
