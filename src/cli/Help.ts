import type { Parameter } from "./Manual.ts"
import type { Page } from "./Pages.ts"

/** No line of help is longer. */
export const helpWidth = 80

const wrap = (words: ReadonlyArray<string>, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of words) {
    const longer = line === "" ? word : `${line} ${word}`
    if (longer.length > width && line !== "") {
      lines.push(line)
      line = word
    } else line = longer
  }
  return [...lines, line]
}

type NameAndAbout = readonly [name: string, about: string]

const widest = 32

/** A line for each entry, or more: the names stand on the left, and one too long for it stands above. */
const listed = (entries: ReadonlyArray<NameAndAbout>): ReadonlyArray<string> => {
  const column = Math.min(widest, Math.max(...entries.map(([name]) => name.length + 4)))
  return entries.flatMap(([name, about]) => {
    const [first = "", ...rest] = wrap(about.split(" "), helpWidth - column)
    const lines = rest.map((line) => " ".repeat(column) + line)
    return name.length + 4 <= column
      ? [`  ${name}`.padEnd(column) + first, ...lines]
      : [`  ${name}`, " ".repeat(column) + first, ...lines]
  })
}

const section = (title: string, lines: ReadonlyArray<string>) => (lines.length === 0 ? [] : ["", title, ...lines])

/** Options in their order, each with a column for a short name. */
const signature = ({ choices, names, value }: Parameter) => {
  const [long = "", ...short] = [...names].sort((a, b) => b.length - a.length)
  const called = short.length === 0 ? `    ${long}` : `${short.join(", ")}, ${long}`
  if (value === null) return called
  return `${called} ${choices.length > 0 ? "<one>" : `<${value}>`}`
}

const explained = ({ about, choices, isRepeated }: Parameter) =>
  [
    about,
    ...(choices.length > 0 ? [`one of ${choices.join(", ")}`] : []),
    ...(isRepeated ? ["may be repeated"] : [])
  ].join("; ")

const argumentName = ({ isRepeated, isRequired, names }: Parameter) => {
  const name = `${names.join("|")}${isRepeated ? "..." : ""}`
  return isRequired ? name : `[${name}]`
}

const usageOf = ({ manual, name, usage }: Page) =>
  (usage ?? [[...manual.args.map(argumentName), "[options]"].join(" ")]).flatMap((form) => {
    const [first = "", ...rest] = wrap(`orders ${name} ${form}`.split(/ (?=[-[])/), helpWidth - 6)
    return [`  ${first}`, ...rest.map((line) => `      ${line}`)]
  })

const codes: ReadonlyArray<NameAndAbout> = [
  ["2", "it was not called as it should be"],
  ["3", "what it printed was lost: its reader left, or the disk is full"],
  ["130", "ended by Ctrl-C (143: by SIGTERM)"]
]

const helpOption: NameAndAbout = ["-h, --help", "Show this help"]

export const commandHelp = (page: Page): string => {
  const { examples, exits, manual } = page
  return [
    manual.about,
    ...section("USAGE", usageOf(page)),
    ...section(
      "ARGUMENTS",
      manual.args.length === 0 ? [] : listed(manual.args.map((arg) => [argumentName(arg), explained(arg)] as const))
    ),
    ...section(
      "OPTIONS",
      listed([...manual.options.map((option) => [signature(option), explained(option)] as const), helpOption])
    ),
    ...section(
      "EXAMPLES",
      examples.map((example) => `  ${example}`)
    ),
    ...section("EXIT CODES", listed([["0", exits.done], ["1", exits.failed], ...codes]))
  ].join("\n")
}

export const mainHelp = (about: string, pages: ReadonlyArray<Page>): string => {
  const groups = [...new Set(pages.map((page) => page.group))]
  const column = Math.max(...pages.map((page) => page.name.length))
  return [
    about,
    ...section("USAGE", ["  orders <command> [options]"]),
    ...groups.flatMap((group) =>
      section(
        group,
        listed(
          pages
            .filter((page) => page.group === group)
            .map(({ manual, name }) => [name.padEnd(column), manual.about] as const)
        )
      )
    ),
    ...section(
      "OPTIONS",
      listed([
        ["-h, --help", "Show this help, or that of a command"],
        ["    --version", "Show the version"],
        ["    --completions <one>", "Print what a shell completes; one of bash, zsh, fish"]
      ])
    ),
    ...section("EXAMPLES", [
      "  orders serve",
      "  orders submit --order-id 101 --user-id 1 --item 1 --item 2 --amount 250.70",
      "  orders get 101 --wait 10",
      "  orders list --status Failed --all --json",
      "  source <(orders --completions bash)"
    ]),
    ...section(
      "ENVIRONMENT",
      listed([
        ["ORDERS_URL", "The service to talk to where --url does not name one [default: http://127.0.0.1:3000]"],
        ["ORDERS_API_KEY", "The key for a service that asks for one"],
        ["ORDERS_API_KEY_FILE", "A file with that key, in place of it"],
        ["DATABASE_URL", "The database of the commands that need one [default: file:./data/orders.db]"],
        ["NO_COLOR", "If it is set, nothing is coloured"]
      ])
    ),
    ...section(
      "EXIT CODES",
      listed([["0", "all went well"], ["1", "something was refused, failed or found"], ...codes])
    )
  ].join("\n")
}
