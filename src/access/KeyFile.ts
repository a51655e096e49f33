import { Either } from "effect"
import { modeOf } from "../FileMode.ts"
import { readRegularFile, reasonOf } from "../RegularFile.ts"
import { type KeyLine, parseKeyLine } from "./KeyLine.ts"

/** More than anyone has keys for: a wrong file is not read as a whole. */
const maxBytes = 1024 * 1024

/** Keys by the SHA-256 of each. */
export type Keys = ReadonlyMap<string, KeyLine>

/** Who may write the file, besides this user and root, by its owner and mode: nothing if nobody may. */
const otherWriters = ({ mode, uid }: { readonly mode: number; readonly uid: number }) => {
  if ((mode & 0o022) !== 0) {
    return { who: `users other than its owner can write it (${modeOf({ mode })})`, mend: "chmod go-w" }
  }
  const own = process.geteuid?.() ?? uid
  return uid === 0 || uid === own ? undefined : { who: `it belongs to another user (uid ${uid})`, mend: `chown ${own}` }
}

const readChecked = (file: string): Either.Either<string, string> => {
  try {
    const { stat, text } = readRegularFile(file, maxBytes)
    const others = otherWriters(stat)
    return others === undefined ? Either.right(text) : Either.left(`${others.who}: ${others.mend} ${file}`)
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

/** Reads a file of keys, which only this user or root may write; else what is wrong, a line for each mistake. */
export const readKeyFile = (file: string): Either.Either<Keys, ReadonlyArray<string>> => {
  const text = readChecked(file)
  return Either.isLeft(text) ? Either.left([text.left]) : parseKeys(text.right)
}
