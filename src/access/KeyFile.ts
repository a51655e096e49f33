import * as Fs from "node:fs"
import { Either } from "effect"
import { type KeyLine, parseKeyLine } from "./KeyLine.ts"

/** More than anyone has keys for: a wrong file is not read as a whole. */
const maxBytes = 1024 * 1024

/** Keys by the SHA-256 of each. */
export type Keys = ReadonlyMap<string, KeyLine>

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** Read from what was opened, so that it is the file whose mode was looked at. */
const readChecked = (file: string): Either.Either<string, string> => {
  let fd: number | undefined
  try {
    // A named pipe would wait for a writer.
    fd = Fs.openSync(file, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
    const stat = Fs.fstatSync(fd)
    if (!stat.isFile()) return Either.left("it is no file")
    const { mode, size } = stat
    if ((mode & 0o022) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, "0")
      return Either.left(`others than its owner may write it (mode ${shown}): chmod go-w ${file}`)
    }
    if (size > maxBytes) return Either.left(`it has more than ${maxBytes} bytes`)
    return Either.right(Fs.readFileSync(fd, "utf8"))
  } catch (error) {
    return Either.left(messageOf(error))
  } finally {
    if (fd !== undefined) Fs.closeSync(fd)
  }
}

/** The keys of a file, one a line; empty lines and those that begin with # are left out. Else each mistake. */
const parseKeys = (text: string): Either.Either<Keys, ReadonlyArray<string>> => {
  const keys = new Map<string, KeyLine>()
  const mistakes: Array<string> = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const parsed = parseKeyLine(line)
    if (Either.isLeft(parsed)) mistakes.push(`line ${index + 1}: ${parsed.left}`)
    else if (keys.has(parsed.right.hash)) mistakes.push(`line ${index + 1}: another line has the same key`)
    else keys.set(parsed.right.hash, parsed.right)
  }
  if (mistakes.length > 0) return Either.left(mistakes)
  return keys.size > 0 ? Either.right(keys) : Either.left(["it has no key: add one with orders keys new"])
}

/** Reads a file of keys, which none but its owner may write; else what is wrong, a line for each mistake. */
export const readKeyFile = (file: string): Either.Either<Keys, ReadonlyArray<string>> => {
  const text = readChecked(file)
  return Either.isLeft(text) ? Either.left([text.left]) : parseKeys(text.right)
}
