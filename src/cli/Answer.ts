import { Console } from "effect"
import { redacted } from "../Redaction.ts"
import { completions } from "./Completions.ts"
import { misused } from "./Failure.ts"
import { commandHelp, mainHelp } from "./Help.ts"
import { pages } from "./Pages.ts"
import { splitOptions } from "./Words.ts"

const about = "Runs an order service, and talks to one that runs"

/** Options without a value, of any command. */
const flags = new Set([
  ...["--help", "-h", "--version"],
  ...pages.flatMap(({ manual }) => manual.options.flatMap(({ names, value }) => (value === null ? names : [])))
])

const complete = (shell: string | undefined) => {
  const script = completions.get(shell ?? "")
  return script === undefined
    ? misused(`--completions: expected one of ${[...completions.keys()].join(", ")}`)
    : Console.log(script(pages))
}

/** What the words after `orders` ask for. */
export const answerOf = (argv: ReadonlyArray<string>, version: string) => {
  const { given, words } = splitOptions(argv, flags)
  const [first, ...rest] = words
  const isHelp = given.has("--help") || given.has("-h") || first === "help"
  const page = pages.find(({ name }) => name === (first === "help" ? rest[0] : first))

  const run = () => {
    if (page !== undefined) {
      if (isHelp) return Console.log(commandHelp(page))
      return page.run(rest)
    }
    if (first === "--completions") return complete(rest[0])
    if (first === "--version") return Console.log(version)
    if (first === undefined || isHelp) return Console.log(mainHelp(about, pages))
    return misused(
      `orders: there is no command ${redacted(first)}. There are ${pages.map(({ name }) => name).join(", ")}.`
    )
  }

  return {
    run: run(),
    isActing: page?.acts === true && !isHelp,
    isJson: given.has("--json"),
    /** It works at a file that decides how long that takes. */
    isExamination: page?.name === "doctor" && !isHelp,
    /** It takes over the process, its signals and its output. */
    isService: page?.name === "serve" && !isHelp
  }
}
