import { createReadStream } from "node:fs"
import { Stream } from "effect"
import { failed } from "./Failure.ts"

/** One order of a file, unread. `place` says where it stands: a line, or a number in an array. */
export interface Entry {
  readonly place: string
  readonly text: string
}

/** `JSON.parse` makes 1e400 Infinity, and written out again it would be `null`. */
const unrounded = (_key: string, value: unknown) => {
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError("a number is too large")
  return value
}

async function* arrayEntries(text: string): AsyncGenerator<Entry> {
  const orders: unknown = JSON.parse(text.trim())
  if (!Array.isArray(orders)) return
  for (const [index, order] of orders.entries()) {
    yield { place: `order ${index + 1}`, text: JSON.stringify(order, unrounded) }
  }
}

/** The orders of a text: one a line, or a JSON array of them. Lines are read as they come, an array at once. */
async function* entriesOf(chunks: AsyncIterable<string>): AsyncGenerator<Entry> {
  let rest = ""
  let isArray: boolean | undefined
  let line = 0
  const entry = (text: string): Entry => ({ place: `line ${line}`, text })
  for await (const chunk of chunks) {
    rest += chunk
    if (isArray === undefined && rest.trim() !== "") isArray = rest.trimStart().startsWith("[")
    if (isArray !== false) continue
    const lines = rest.split("\n")
    rest = lines.pop() ?? ""
    for (const text of lines) {
      line += 1
      if (text.trim() !== "") yield entry(text)
    }
  }
  line += 1
  if (isArray === true) yield* arrayEntries(rest)
  else if (rest.trim() !== "") yield entry(rest)
}

/** A call takes 10,000 orders and 8 MiB; smaller ones show sooner what became of them. */
const maxOrders = 1000
const maxBytes = 4 * 1024 * 1024

async function* partsOf(entries: AsyncIterable<Entry>): AsyncGenerator<ReadonlyArray<Entry>> {
  let part: Array<Entry> = []
  let bytes = 0
  for await (const entry of entries) {
    const size = Buffer.byteLength(entry.text) + 1
    if (part.length === maxOrders || (part.length > 0 && bytes + size > maxBytes)) {
      yield part
      part = []
      bytes = 0
    }
    part.push(entry)
    bytes += size
  }
  if (part.length > 0) yield part
}

/** The orders of a file, or of standard input for `-`, in parts that fit a bulk call. */
export const readOrders = (file: string) =>
  Stream.suspend(() => {
    const source = file === "-" ? process.stdin : createReadStream(file)
    return Stream.fromAsyncIterable(partsOf(entriesOf(source.setEncoding("utf8"))), (error) =>
      failed(`${file === "-" ? "Standard input" : file}: ${error instanceof Error ? error.message : String(error)}`)
    )
  })
