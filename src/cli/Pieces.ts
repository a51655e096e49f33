import { utf8Of } from "./Utf8.ts"

/** The bytes of one order: a line, or a member of a JSON array. `fault` says why they are not all there. */
export interface Piece {
  readonly place: string
  readonly bytes: Buffer
  readonly fault: string | null
}

/** An order has 64 KiB at most. What is far longer is not kept, so that no file can fill the memory. */
const longest = 1024 * 1024

const tooLong = "it is far longer than an order may be"

/** Bytes as they come, up to the longest. */
class Collected {
  private parts: Array<Buffer> = []
  private length = 0

  add(bytes: Buffer) {
    if (this.length <= longest) this.parts.push(bytes)
    this.length += bytes.length
  }

  take(place: string): Piece {
    const isTooLong = this.length > longest
    const bytes = isTooLong ? Buffer.alloc(0) : Buffer.concat(this.parts)
    this.parts = []
    this.length = 0
    return { place, bytes, fault: isTooLong ? tooLong : null }
  }
}

const [newline, comma, quote, backslash] = [0x0a, 0x2c, 0x22, 0x5c]
const [openingBracket, closingBracket, openingBrace, closingBrace] = [0x5b, 0x5d, 0x7b, 0x7d]

const isSpace = (byte: number) => byte === 0x20 || byte === 0x09 || byte === newline || byte === 0x0d

interface Pieces {
  readonly take: (chunk: Buffer) => ReadonlyArray<Piece>
  readonly end: () => ReadonlyArray<Piece>
}

const lines = (): Pieces => {
  const collected = new Collected()
  let line = 0
  const next = () => collected.take(`line ${++line}`)
  return {
    take: (chunk) => {
      const found: Array<Piece> = []
      let begin = 0
      for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, begin)) {
        collected.add(chunk.subarray(begin, end))
        found.push(next())
        begin = end + 1
      }
      collected.add(chunk.subarray(begin))
      return found
    },
    end: () => [next()]
  }
}

/** Of a JSON array no more is read than where its members end; whether they are JSON is seen one by one. */
class Members implements Pieces {
  private readonly collected = new Collected()
  private line = 1
  private count = 0
  /** Brackets that are open; the array's own is the first. */
  private depth = 0
  private isOver = false
  private isText = false
  private isEscaped = false
  /** The line on which the member begins that is being read; 0 before its first letter. */
  private begunAt = 0

  take(chunk: Buffer) {
    const found: Array<Piece> = []
    let begin = 0
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index] ?? 0
      if (byte === newline) this.line += 1
      if (this.depth === 0) {
        if (this.isOver && !isSpace(byte)) {
          throw new Error(`line ${this.line}: there is more after the end of the JSON array`)
        }
        if (byte === openingBracket) this.depth = 1
        begin = index + 1
      } else if (this.isEnd(byte)) {
        this.isOver = this.depth === 0
        this.collected.add(chunk.subarray(begin, index))
        if (!this.isOver || this.begunAt > 0 || this.count > 0) found.push(this.next())
        begin = index + 1
      } else if (this.begunAt === 0 && !isSpace(byte)) this.begunAt = this.line
    }
    if (this.depth > 0) this.collected.add(chunk.subarray(begin))
    return found
  }

  end(): ReadonlyArray<Piece> {
    if (!this.isOver) throw new Error(`line ${this.line}: the JSON array does not end, so the file is not whole`)
    return []
  }

  private next(): Piece {
    const place = `order ${++this.count} (line ${this.begunAt || this.line})`
    const piece = this.collected.take(place)
    const isEmpty = this.begunAt === 0
    this.begunAt = 0
    return isEmpty ? { ...piece, fault: "there is nothing where a comma promises an order" } : piece
  }

  /** Whether a byte ends a member. */
  private isEnd(byte: number) {
    if (this.isText) {
      if (this.isEscaped) this.isEscaped = false
      else if (byte === backslash) this.isEscaped = true
      else if (byte === quote) this.isText = false
      return false
    }
    if (byte === quote) this.isText = true
    else if (byte === openingBracket || byte === openingBrace) this.depth += 1
    else if (byte === closingBracket || byte === closingBrace) this.depth -= 1
    return this.depth === 0 || (this.depth === 1 && byte === comma)
  }
}

/** The orders of a text, unread: one a line, or the members of a JSON array. They are read as they come. */
export async function* piecesOf(source: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  const [asLines, asMembers] = [lines(), new Members()]
  let pieces: Pieces | undefined
  for await (const chunk of utf8Of(source)) {
    if (pieces !== undefined) {
      yield* pieces.take(chunk)
      continue
    }
    const begin = chunk.findIndex((byte) => !isSpace(byte))
    const blank = begin === -1 ? chunk : chunk.subarray(0, begin)
    // Of blanks before the first letter only the lines count.
    for (const either of [asLines, asMembers]) either.take(blank)
    if (begin === -1) continue
    pieces = chunk[begin] === openingBracket ? asMembers : asLines
    yield* pieces.take(chunk.subarray(begin))
  }
  if (pieces !== undefined) yield* pieces.end()
}
