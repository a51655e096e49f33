import { isUtf8 } from "node:buffer"
import * as Fs from "node:fs"

class Unfit extends Error {}

/**
 * The text in a regular file of so many bytes at most, in UTF-8, and what the system says of the same file. Throws otherwise: see
 * {@link reasonOf}. A pipe that nobody writes to would be waited for without end.
 */
export const readRegularFile = (path: string, most: number) => {
  const fd = Fs.openSync(path, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
  try {
    const stat = Fs.fstatSync(fd)
    if (!stat.isFile()) throw new Unfit("not a regular file")
    const bytes = Buffer.alloc(most + 1)
    let length = 0
    for (let read = -1; read !== 0 && length <= most; length += read) {
      read = Fs.readSync(fd, bytes, length, bytes.length - length, null)
    }
    if (length > most) throw new Unfit(`longer than ${most / 1024} KiB`)
    if (!isUtf8(bytes.subarray(0, length))) throw new Unfit("not UTF-8")
    return { text: new TextDecoder().decode(bytes.subarray(0, length)), stat }
  } finally {
    Fs.closeSync(fd)
  }
}

/** Why a file could not be read, without its path, such as `ENOENT: no such file or directory`. */
export const reasonOf = (cause: unknown) => {
  if (cause instanceof Unfit) return cause.message
  return cause instanceof Error && "syscall" in cause ? cause.message.replace(/, \w+( '.*)?$/s, "") : "not a path"
}
