import { Either } from "effect"
import { readRegularFile, reasonOf } from "../RegularFile.ts"
import { type KeyLine, parseKeyLine } from "./KeyLine.ts"

/** More than anyone has keys for: a wrong file is not read as a whole. */
const maxBytes = 1024 * 1024

/** Keys by the SHA-256 of each. */
export type Keys = ReadonlyMap<string, KeyLine>

const readChecked = (file: string): Either.Either<string, string> => {
  try {
    const { mode, text } = readRegularFile(file, maxBytes)
    if ((mode & 0o022) === 0) return Either.right(text)
    const shown = (mode & 0o777).toString(8).padStart(4, "0")
    return Either.left(`others than its owner may write it (mode ${shown}): chmod go-w ${file}`)
  } catch (cause) {
    return Either.left(`cannot be read: ${reasonOf(cause)}`)
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
