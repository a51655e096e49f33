import { createReadStream } from "node:fs"
import { Stream } from "effect"
import { failed } from "./Failure.ts"
import { type Piece, piecesOf } from "./Pieces.ts"

/** One order of a file, unread, or why it is not even text. `place` says where it stands. */
export interface OrderText {
  readonly place: string
  readonly text: string
  readonly fault: string | null
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const notUtf8 =
  "it is not UTF-8, but in another encoding such as Latin-1: convert the file, as with iconv -f latin1 -t utf-8"

const isJson = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const entryOf = ({ bytes, fault, place }: Piece): OrderText => {
  if (fault !== null) return { place, text: "", fault }
  if (bytes.includes(0)) {
    return { place, text: "", fault: "it holds a NUL byte, which no JSON has" }
  }
  let text: string
  try {
    text = decoder.decode(bytes).trim()
  } catch {
    return { place, text: "", fault: notUtf8 }
  }
  // An order of an array may span lines, and goes out as one. A line break in a string would be lost with that.
  if (!/[\r\n]/.test(text)) return { place, text, fault: null }
  return isJson(text)
    ? { place, text: text.replace(/[\r\n]+/g, " "), fault: null }
    : { place, text: "", fault: "it is not JSON" }
}

/** A call takes 10,000 orders and 8 MiB; smaller ones show sooner what became of them. */
const maxOrders = 1000
const maxBytes = 4 * 1024 * 1024

async function* partsOf(pieces: AsyncIterable<Piece>): AsyncGenerator<ReadonlyArray<OrderText>> {
  let part: Array<OrderText> = []
  let bytes = 0
  for await (const piece of pieces) {
    const entry = entryOf(piece)
    if (entry.fault === null && entry.text === "") continue
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
    return Stream.fromAsyncIterable(partsOf(piecesOf(source)), (error) =>
      failed(`${file === "-" ? "Standard input" : file}: ${error instanceof Error ? error.message : String(error)}`)
    )
  })
