import * as Options from "@effect/cli/Options"
import { Array as Arr, Console, Effect } from "effect"
import stringWidth from "string-width"
import type { Status } from "../order/Order.ts"
import { visible, visibleJson, visibleLines } from "../order/VisibleText.ts"
import type { Outlet } from "./Outlet.ts"

export const json = Options.boolean("json").pipe(
  Options.withDescription("For machines: one JSON document, or one a line where there are many")
)

/** On one line. Read again it is the same value: what a terminal would follow or hide stands in it as `\u` and a number. */
export const jsonText = (value: unknown) => visibleJson(JSON.stringify(value))

/** A line for each. */
export const printJsonLines = (values: ReadonlyArray<unknown>) =>
  values.length === 0 ? Effect.void : Console.log(values.map((value) => jsonText(value)).join("\n"))

export const printJson = (value: unknown) => Console.log(jsonText(value))

/** The codes that begin and end a colour. */
const colours = { red: [31, 39], green: [32, 39], yellow: [33, 39], blue: [34, 39], dim: [2, 22] } as const

/** A word of ours that a colour makes easier to find. */
export class Coloured {
  readonly text: string
  readonly colour: keyof typeof colours
  constructor(colour: keyof typeof colours, text: string) {
    this.text = text
    this.colour = colour
  }

  toString() {
    return visible(this.text)
  }

  coloured() {
    const [begin, end] = colours[this.colour]
    return `\x1b[${begin}m${this}\x1b[${end}m`
  }
}

/** One line for people, as a text or in parts. */
export type Line = string | ReadonlyArray<Coloured | string>

/** Lines as the console of {@link printingOn} takes them. Nothing in them steers a terminal but our own colours. */
class Lines {
  readonly lines: ReadonlyArray<Line>
  constructor(lines: ReadonlyArray<Line>) {
    this.lines = lines
  }

  toString(isColoured = false) {
    const shown = (part: Coloured | string) =>
      part instanceof Coloured ? (isColoured ? part.coloured() : `${part}`) : visible(part)
    return this.lines.map((line) => Arr.ensure(line).map(shown).join("")).join("\n")
  }
}

export const printLines = (lines: ReadonlyArray<Line>) => Console.log(new Lines(lines))

export const printErrorLines = (lines: ReadonlyArray<Line>) => Console.error(new Lines(lines))

type Cell = Coloured | string | number | null | undefined

/** A cell as it is shown, so that it is as wide as that. */
const shown = (cell: Cell) => (cell instanceof Coloured ? cell : visible(String(cell ?? "")))

const dim = (text: string) => new Coloured("dim", text)

type Row = ReadonlyArray<Coloured | string>

const widthOf = (cell: Coloured | string) => stringWidth(`${cell}`)

const widened = (widths: ReadonlyArray<number>, rows: ReadonlyArray<Row>) => {
  const wider = [...widths]
  for (const row of rows) {
    for (const [column, cell] of row.entries()) wider[column] = Math.max(wider[column] ?? 0, widthOf(cell))
  }
  return wider
}

/** Nothing is padded after the last cell that has a text. */
const padded = (row: Row, widths: ReadonlyArray<number>): Line => {
  const last = row.findLastIndex((cell) => `${cell}` !== "")
  return row
    .slice(0, last + 1)
    .flatMap((cell, column) =>
      column === last ? [cell] : [cell, " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)) + 2)]
    )
}

/**
 * Prints a table in pieces, as its rows come. A column is as wide as its widest cell so far: a later piece may widen it
 * from there on.
 */
export const tablePrinter = (head: ReadonlyArray<string>) => {
  let widths: ReadonlyArray<number> = []
  let isBegun = false
  return (rows: ReadonlyArray<ReadonlyArray<Cell>>) =>
    Effect.suspend(() => {
      const lines: Array<Row> = rows.map((row) => row.map(shown))
      if (!isBegun) lines.unshift(head.map(dim))
      isBegun = true
      widths = widened(widths, lines)
      return lines.length === 0 ? Effect.void : printLines(lines.map((row) => padded(row, widths)))
    })
}

export const printTable = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>) =>
  tablePrinter(head)(rows)

/** One thing, a line for each of its fields. */
export const printFields = (fields: ReadonlyArray<readonly [name: string, value: Cell]>) => {
  const rows = fields.map(([name, value]): Row => [dim(name), shown(value)])
  const widths = widened([], rows)
  return printLines(rows.map((row) => padded(row, widths)))
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
      const to = (outlet: Outlet, isColoured: boolean) => (text: unknown) =>
        outlet.write(`${text instanceof Lines ? text.toString(isColoured) : visibleLines(String(text))}\n`)
      return Effect.withConsole(self, {
        ...console,
        log: to(output, wantsColours(process.stdout)),
        error: to(error, wantsColours(process.stderr))
      })
    })
