import { stripVTControlCharacters } from "node:util"
import * as Options from "@effect/cli/Options"
import { Console, Effect } from "effect"
import stringWidth from "string-width"
import type { Status } from "../order/Order.ts"
import type { Outlet } from "./Outlet.ts"

export const json = Options.boolean("json").pipe(
  Options.withDescription("For machines: one JSON document, or one a line where there are many")
)

/** A line for each. */
export const printJsonLines = (values: ReadonlyArray<unknown>) =>
  values.length === 0 ? Effect.void : Console.log(values.map((value) => JSON.stringify(value)).join("\n"))

export const printJson = (value: unknown) => Console.log(JSON.stringify(value))

const colours = { red: 31, green: 32, yellow: 33, blue: 34 }

/** A word of ours that a colour makes easier to find. */
export class Coloured {
  readonly text: string
  readonly colour: keyof typeof colours
  constructor(colour: keyof typeof colours, text: string) {
    this.text = text
    this.colour = colour
  }

  /** Codes are always written; {@link printingOn} takes them out where they are not wanted. */
  toString() {
    return `\x1b[${colours[this.colour]}m${this.text}\x1b[39m`
  }
}

type Cell = Coloured | string | number | null | undefined

const dim = (text: string) => `\x1b[2m${text}\x1b[22m`

/** Control characters of a text from outside must not reach the terminal. */
const shown = (cell: Cell) => (cell instanceof Coloured ? `${cell}` : String(cell ?? "").replace(/\p{Cc}/gu, " "))

const widened = (widths: ReadonlyArray<number>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const wider = [...widths]
  for (const row of rows) {
    for (const [column, cell] of row.entries()) wider[column] = Math.max(wider[column] ?? 0, stringWidth(cell))
  }
  return wider
}

const padded = (row: ReadonlyArray<string>, widths: ReadonlyArray<number>) =>
  row
    .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - stringWidth(cell))))
    .join("  ")
    .replace(/ +$/, "")

/**
 * Prints a table in pieces, as its rows come. A column is as wide as its widest cell so far: a later piece may widen it
 * from there on.
 */
export const tablePrinter = (head: ReadonlyArray<string>) => {
  let widths: ReadonlyArray<number> = []
  let isBegun = false
  return (rows: ReadonlyArray<ReadonlyArray<Cell>>) =>
    Effect.suspend(() => {
      const lines = rows.map((row) => row.map(shown))
      if (!isBegun) lines.unshift(head.map(dim))
      isBegun = true
      widths = widened(widths, lines)
      return lines.length === 0 ? Effect.void : Console.log(lines.map((row) => padded(row, widths)).join("\n"))
    })
}

export const printTable = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>) =>
  tablePrinter(head)(rows)

/** One thing, a line for each of its fields. */
export const printFields = (fields: ReadonlyArray<readonly [name: string, value: Cell]>) => {
  const rows = fields.map(([name, value]) => [dim(name), shown(value)])
  const widths = widened([], rows)
  return Console.log(rows.map((row) => padded(row, widths)).join("\n"))
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

/** Puts the console on the outlets. Leaves colours to terminals, and to people who want them (https://no-color.org). */
export const printingOn =
  (output: Outlet, error: Outlet) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Console.consoleWith((console) => {
      const to = (outlet: Outlet, wanted: boolean) => (text: unknown) =>
        outlet.write(`${wanted ? text : stripVTControlCharacters(String(text))}\n`)
      return Effect.withConsole(self, {
        ...console,
        log: to(output, wantsColours(process.stdout)),
        error: to(error, wantsColours(process.stderr))
      })
    })
