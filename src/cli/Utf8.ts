import { TextDecoder } from "node:util"

/** The byte order mark a file begins with, and what it says of the rest. */
const marks = [
  { mark: Buffer.from([0xef, 0xbb, 0xbf]), encoding: undefined },
  { mark: Buffer.from([0xff, 0xfe]), encoding: "utf-16le" },
  { mark: Buffer.from([0xfe, 0xff]), encoding: "utf-16be" }
]

const longestMark = 3

/** JSON begins with a letter of ASCII, of which UTF-16 makes a NUL byte and itself. */
const unmarked = ([first, second]: Buffer) =>
  first !== 0 && second === 0 ? "utf-16le" : first === 0 && second !== 0 ? "utf-16be" : undefined

/** UTF-8 as it is, without a byte order mark; UTF-16 as UTF-8. */
export async function* utf8Of(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0)
  let decoder: TextDecoder | undefined
  const decode = (bytes?: Buffer) => {
    try {
      return Buffer.from(decoder?.decode(bytes, { stream: bytes !== undefined }) ?? "")
    } catch {
      throw new Error("it begins as UTF-16 and is not: save it as UTF-8")
    }
  }
  const begin = (bytes: Buffer) => {
    const found = marks.find(({ mark }) => bytes.subarray(0, mark.length).equals(mark))
    const encoding = found === undefined ? unmarked(bytes) : found.encoding
    if (encoding !== undefined) decoder = new TextDecoder(encoding, { fatal: true })
    return bytes.subarray(found?.mark.length ?? 0)
  }
  for await (const chunk of source) {
    let bytes = chunk
    if (head !== undefined) {
      head = Buffer.concat([head, chunk])
      if (head.length < longestMark) continue
      bytes = begin(head)
      head = undefined
    }
    yield decoder === undefined ? bytes : decode(bytes)
  }
  if (head !== undefined) {
    const bytes = begin(head)
    yield decoder === undefined ? bytes : decode(bytes)
  }
  if (decoder !== undefined) yield decode()
}
