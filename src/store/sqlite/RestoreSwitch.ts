import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { DateTime } from "effect"

/** Makes what was done to a file, or in a folder, survive a power failure. */
export const sync = async (path: string) => {
  const handle = await Fs.open(path, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A moment as part of a file name, such as 20261123T142120Z. */
export const stampOf = (time: DateTime.Utc) => DateTime.formatIso(time).replace(/\.\d+|[-:]/g, "")

/** Names one restore of a database, and sorts by time. */
const suffix = ".restore-"

/** The name under which a database that is whole and checked waits to take the place of another. */
export const waiting = (file: string, stamp: string) => file + suffix + stamp

/** Removes a database that nobody has open, with all that SQLite has beside it. */
export const removeDatabase = (file: string) =>
  Promise.all(["", "-journal", "-wal", "-shm"].map((suffix) => Fs.rm(file + suffix, { force: true })))

/** Nothing for a file that is not there. */
export const statOf = (path: string) => Fs.stat(path).catch(() => undefined)

/** The stamp of the database that waits; undefined if none does. */
export const waitingStamp = async (file: string): Promise<string | undefined> => {
  const prefix = Path.basename(file) + suffix
  const names = await Fs.readdir(Path.dirname(file)).catch((): ReadonlyArray<string> => [])
  return names
    .filter((name) => /^\d{8}T\d{6}Z$/.test(name.slice(prefix.length)) && name.startsWith(prefix))
    .sort()
    .at(-1)
    ?.slice(prefix.length)
}

/**
 * Puts the waiting database, if there is one, in the place of the other, which is set aside with its `-wal`: where to.
 * It can be cut off at any point and done again, so a restore that a crash interrupts is finished by the next start.
 * Only the holder of the lock may do it.
 */
export const finishRestore = async (file: string): Promise<ReadonlyArray<string> | undefined> => {
  const stamp = await waitingStamp(file)
  if (stamp === undefined) return undefined
  const aside = `${file}.before-${stamp}`
  for (const part of ["-wal", ""]) {
    const [old, kept] = await Promise.all([statOf(file + part), statOf(aside + part)])
    // An empty one is made by a start that comes before this.
    if (old?.size && kept === undefined) await Fs.rename(file + part, aside + part)
  }
  await Promise.all(["-wal", "-shm"].map((part) => Fs.rm(file + part, { force: true })))
  await Fs.rename(waiting(file, stamp), file)
  await sync(Path.dirname(file))
  const kept = await Promise.all([aside, `${aside}-wal`].map(async (path) => ((await statOf(path)) ? [path] : [])))
  return kept.flat()
}
