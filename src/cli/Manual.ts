import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import type { HelpDoc } from "@effect/cli/HelpDoc"
import type { Span } from "@effect/cli/HelpDoc/Span"
import type { Usage } from "@effect/cli/Usage"
import { Option } from "effect"

/** An option as it is called, such as `-y`, `--yes`, or an argument, such as `<id>`. */
export interface Parameter {
  readonly names: ReadonlyArray<string>
  /** What its value is called; `null` for one that takes none. */
  readonly value: string | null
  /** The only values there are, if they are few. */
  readonly choices: ReadonlyArray<string>
  readonly about: string
  readonly isRequired: boolean
  readonly isRepeated: boolean
}

/** What a command takes, read from the definition it is parsed by. */
export interface Manual {
  readonly about: string
  readonly options: ReadonlyArray<Parameter>
  readonly args: ReadonlyArray<Parameter>
}

const textOf = (span: Span): string => {
  switch (span._tag) {
    case "Text":
    case "URI":
      return span.value
    case "Sequence":
      return textOf(span.left) + textOf(span.right)
    default:
      return textOf(span.value)
  }
}

/** The texts of a document, a paragraph each. */
export const paragraphsOf = (doc: HelpDoc): ReadonlyArray<string> => {
  switch (doc._tag) {
    case "Paragraph":
      return [textOf(doc.value)]
    case "Sequence":
      return [...paragraphsOf(doc.left), ...paragraphsOf(doc.right)]
    default:
      return []
  }
}

/** What @effect/cli says of each parameter, by each of its names: of what type it is, then our own words. */
const aboutParameters = (doc: HelpDoc): ReadonlyArray<readonly [name: string, about: string]> => {
  switch (doc._tag) {
    case "DescriptionList":
      return doc.definitions.flatMap(([label, block]) =>
        textOf(label)
          .split(/[ ,()]+/)
          .map((name) => [name, paragraphsOf(block)[1] ?? ""] as const)
      )
    case "Sequence":
      return [...aboutParameters(doc.left), ...aboutParameters(doc.right)]
    default:
      return []
  }
}

type Unexplained = Omit<Parameter, "about">

const parametersOf = (usage: Usage, isRequired = true, isRepeated = false): ReadonlyArray<Unexplained> => {
  switch (usage._tag) {
    case "Named": {
      const value = Option.getOrNull(usage.acceptedValues)
      const choices = value?.includes(" | ") ? value.split(" | ") : []
      return [{ names: usage.names, value, choices, isRequired, isRepeated }]
    }
    case "Optional":
      return parametersOf(usage.usage, false, isRepeated)
    case "Repeated":
      return parametersOf(usage.usage, isRequired, true)
    case "Concat":
    case "Alternation":
      return [...parametersOf(usage.left, isRequired, isRepeated), ...parametersOf(usage.right, isRequired, isRepeated)]
    default:
      return []
  }
}

const cliConfig = CliConfig.make({ showBuiltIns: false })

export const manualOf = <Name extends string, R, E, A>(command: Command.Command<Name, R, E, A>): Manual => {
  const doc = Command.getHelp(command, cliConfig)
  const about = new Map(aboutParameters(doc))
  const [, ...parameters] = parametersOf(Command.getUsage(command)).map((parameter) => ({
    ...parameter,
    about: about.get(parameter.names[0] ?? "") ?? ""
  }))
  const isOption = ({ names }: Parameter) => names.every((name) => name.startsWith("-"))
  return {
    about: paragraphsOf(doc)[0] ?? "",
    options: parameters.filter(isOption),
    args: parameters.filter((parameter) => !isOption(parameter))
  }
}
