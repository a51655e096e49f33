import { stripVTControlCharacters } from "node:util"
import * as Options from "@effect/cli/Options"
import Table from "cli-table3"
import { Console, Effect } from "effect"
import type { Status } from "../Order.ts"

export const json = Options.boolean("json").pipe(
  Options.withDescription("For machines: one JSON document, or one a line where there are many")
)

export const printJson = (value: unknown) => Console.log(JSON.stringify(value))

const bare = {
  chars: {
    top: "",
    "top-mid": "",
    "top-left": "",
    "top-right": "",
    bottom: "",
    "bottom-mid": "",
    "bottom-left": "",
    "bottom-right": "",
    left: "",
    "left-mid": "",
    mid: "",
    "mid-mid": "",
    right: "",
    "right-mid": "",
    middle: "  "
  },
  style: { "padding-left": 0, "padding-right": 0, head: [], border: [] }
}

const colours = { red: 31, green: 32, yellow: 33, blue: 34 }

/** A word of ours that a colour makes easier to find. */
export class Coloured {
  readonly text: string
  readonly colour: keyof typeof colours
  constructor(colour: keyof typeof colours, text: string) {
    this.text = text
    this.colour = colour
  }

  /** Codes are always written; {@link withoutColours} takes them out where they are not wanted. */
  toString() {
    return `\x1b[${colours[this.colour]}m${this.text}\x1b[39m`
  }
}

type Cell = Coloured | string | number | null | undefined

const dim = (text: string) => `\x1b[2m${text}\x1b[22m`

/** Control characters of a text from outside must not reach the terminal. */
const shown = (cell: Cell) => (cell instanceof Coloured ? `${cell}` : String(cell ?? "").replace(/\p{Cc}/gu, " "))

const trimmed = (text: string) => text.replace(/[ \t]+$/gm, "")

export const printTable = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>) => {
  const table = new Table({ ...bare, head: head.map(dim) })
  for (const row of rows) table.push(row.map(shown))
  return Console.log(trimmed(table.toString()))
}

/** One thing, a line for each of its fields. */
export const printFields = (fields: ReadonlyArray<readonly [name: string, value: Cell]>) => {
  const table = new Table(bare)
  for (const [name, value] of fields) table.push([dim(name), shown(value)])
  return Console.log(trimmed(table.toString()))
}

const statusColours = {
  Pending: "blue",
  Processing: "blue",
  Completed: "green",
  Failed: "red",
  Cancelled: "yellow"
} as const

export const statusText = (status: Status) => new Coloured(statusColours[status], status)

const wantsColours = (stream: { readonly isTTY?: boolean }) =>
  stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb"

/** Leaves colours to terminals, and to people who want them (https://no-color.org). */
export const withoutColours = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Console.consoleWith((console) => {
    const plain = (wanted: boolean) => (text: unknown) =>
      wanted || typeof text !== "string" ? text : stripVTControlCharacters(text)
    const out = plain(wantsColours(process.stdout))
    const err = plain(wantsColours(process.stderr))
    return Effect.withConsole(self, {
      ...console,
      log: (...values) => console.log(...values.map(out)),
      error: (...values) => console.error(...values.map(err))
    })
  })
