import { Malformed, maxDepth, maxFields, parseJson } from "./Json.ts"

/** Where a text of JSON stands in bytes: from `start` to before `end`. */
export interface Piece {
  readonly start: number
  readonly end: number
}

const [quote, backslash, comma, colon, lineFeed] = [0x22, 0x5c, 0x2c, 0x3a, 0x0a]
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Longer than any id. */
const mostOfField = 1000

const isBlank = (byte: number | undefined) => byte === 0x20 || byte === lineFeed || byte === 0x0d || byte === 0x09

const afterBlanks = (bytes: Buffer, from: number) => {
  let at = from
  while (isBlank(bytes[at])) at += 1
  return at
}

const isByteOrderMark = (bytes: Buffer, at: number) =>
  bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf

/** Where the text begins, which a byte order mark may stand before, as some editors put there. */
const beginOf = (bytes: Buffer) => afterBlanks(bytes, isByteOrderMark(bytes, 0) ? 3 : 0)

/** Where the blanks before `to` begin, `from` at the earliest. */
const beforeBlanks = (bytes: Buffer, from: number, to: number) => {
  let at = to
  while (at > from && isBlank(bytes[at - 1])) at -= 1
  return at
}

/** Where the closing quote of the string that begins at `from` is, or at least `end`. */
const endOfString = (bytes: Buffer, from: number, end: number) => {
  let at = from + 1
  while (at < end && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1
  return at
}

/** Why the piece would cost too much to parse or to look at further, going on from a subject. */
const excessOf = (bytes: Buffer, { end, start }: Piece): string | undefined => {
  let depth = 0
  let fields = 1
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]
    if (byte === quote) at = endOfString(bytes, at, end)
    else if (byte === openBracket || byte === openBrace) {
      depth += 1
      if (depth > maxDepth) return `is nested deeper than ${maxDepth} levels`
    } else if (byte === closeBracket || byte === closeBrace) depth -= 1
    else if (byte === comma && depth === 1) fields += 1
  }
  return bytes[start] === openBrace && fields > maxFields ? `has more than ${maxFields} fields` : undefined
}

/** In place of the value of a text that is not parsed, whether it is JSON or not. */
export class Excessive extends Malformed {}

/** The JSON of UTF-8, or what is wrong with it: `Excessive` where it is nested too deep or has too many fields. */
export const parsePiece = (bytes: Buffer, piece: Piece): unknown => {
  const why = excessOf(bytes, piece)
  return why === undefined ? parseJson(bytes.toString("utf8", piece.start, piece.end)) : new Excessive(why)
}

/** Where the value of a field begins, of the object that the piece is; none is `end`. */
const beginOfField = (bytes: Buffer, { end, start }: Piece, name: string) => {
  let depth = 0
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]
    if (byte === openBracket || byte === openBrace) depth += 1
    else if (byte === closeBracket || byte === closeBrace) depth -= 1
    else if (byte === quote) {
      const begin = at + 1
      at = endOfString(bytes, at, end)
      if (depth !== 1 || at - begin !== name.length || bytes.toString("latin1", begin, at) !== name) continue
      const after = afterBlanks(bytes, at + 1)
      if (bytes[after] === colon) return afterBlanks(bytes, after + 1)
    }
  }
  return end
}

/** The field of the object that the piece is, if it is a text or a number, found without parsing anything else. */
export const fieldOf = (bytes: Buffer, piece: Piece, name: string): string | number | undefined => {
  const start = beginOfField(bytes, piece, name)
  let end = bytes[start] === quote ? endOfString(bytes, start, piece.end) + 1 : start
  while (end < piece.end && bytes[end] !== comma && bytes[end] !== closeBrace && !isBlank(bytes[end])) end += 1
  const value = end - start > mostOfField ? undefined : parseJson(bytes.toString("utf8", start, end))
  return typeof value === "string" || typeof value === "number" ? value : undefined
}

/** All of the bytes, but for blanks and a byte order mark before them. */
export const wholeOf = (bytes: Buffer): Piece => ({ start: beginOf(bytes), end: bytes.length })

export const isArray = (bytes: Buffer) => bytes[beginOf(bytes)] === openBracket

/**
 * The members of the array that the bytes are, found by commas, brackets and strings alone: whether one of them is JSON
 * shows when it is parsed. Nothing is looked at behind one more than `most`.
 */
export const membersOf = (bytes: Buffer, most: number): ReadonlyArray<Piece> | Malformed => {
  const members: Array<Piece> = []
  let from = beginOf(bytes) + 1
  let depth = 0
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at]
    if (byte === quote) at = endOfString(bytes, at, bytes.length)
    else if (byte === openBracket || byte === openBrace) depth += 1
    else if (depth > 0 && (byte === closeBracket || byte === closeBrace)) depth -= 1
    else if (depth === 0 && (byte === comma || byte === closeBracket || byte === closeBrace)) {
      const start = afterBlanks(bytes, from)
      const isEmpty = start === at
      if (byte === closeBrace) return new Malformed(`is not JSON: nothing is open that byte ${at} could close`)
      if (isEmpty && (byte === comma || members.length > 0)) {
        return new Malformed(`is not JSON: there is no value before byte ${at}`)
      }
      if (!isEmpty) members.push({ start, end: beforeBlanks(bytes, start, at) })
      if (members.length > most) return members
      from = at + 1
      if (byte === comma) continue
      const rest = afterBlanks(bytes, from)
      return rest === bytes.length ? members : new Malformed(`is not JSON: the array ends before byte ${rest}`)
    }
  }
  return new Malformed("is not JSON: the array does not end")
}

/** The lines that are not blank, without a byte order mark at the beginning of one, up to one more than `most`. */
export const linesOf = (bytes: Buffer, most: number): ReadonlyArray<Piece> => {
  const lines: Array<Piece> = []
  let at = 0
  while (lines.length <= most) {
    at = afterBlanks(bytes, at)
    if (at >= bytes.length) break
    if (isByteOrderMark(bytes, at) && (at === 0 || bytes[at - 1] === lineFeed)) at += 3
    else {
      const found = bytes.indexOf(lineFeed, at)
      const end = found < 0 ? bytes.length : found
      lines.push({ start: at, end: beforeBlanks(bytes, at, end) })
      at = end
    }
  }
  return lines
}
