import * as Fs from "node:fs"
import { Context, Deferred, Effect } from "effect"
import { keepRunning } from "../../KeepRunning.ts"
import { StorageUnavailable } from "../../order/Order.ts"
import { lockSuffix } from "./LockFile.ts"
import { isDamage } from "./SqliteErrors.ts"

const restoring = "Stop this service, put a backup in place with `orders restore`, and start it again."
const examining =
  "Stop this service and examine the database with `orders doctor`. If it is well, start the service again; " +
  "if it is not, put a backup in place with `orders restore` first."

/** The files that make up a database in use, and what to do when one of them was taken away. */
const companions = [
  ["-wal", "Stop this service with SIGTERM: it then writes the newest orders into the database. Start it again."],
  ["-shm", "Stop this service with SIGTERM, and start it again."],
  [lockSuffix, "Another process may use the database now: stop both, and start one again."]
] as const

/**
 * What SQLite's own shared memory says of the `-wal`: how much is in it, and up to where it was, or is being, written
 * into the database (https://sqlite.org/walformat.html, "WAL-Index Header").
 */
class WalIndex {
  readonly #fd: number
  readonly #words = new Uint32Array(34)
  readonly #halves = new Uint16Array(this.#words.buffer)

  constructor(file: string) {
    this.#fd = Fs.openSync(`${file}-shm`, "r")
  }

  read() {
    Fs.readSync(this.#fd, this.#words, 0, this.#words.byteLength, 0)
    const [frames = 0, salt1, salt2, written, beingWritten] = [4, 8, 9, 24, 32].map((index) => this.#words[index])
    const size = this.#halves[7] ?? 0
    return {
      /** The least size of the `-wal`. */
      bytes: frames === 0 ? 0 : 32 + frames * ((size === 1 ? 65_536 : size) + 24),
      /** Changes before a checkpoint writes from the `-wal` into the database, and when it is done. */
      checkpoint: `${salt1}:${salt2}:${written}:${beingWritten}`,
      isWriting: written !== beingWritten
    }
  }

  close() {
    Fs.closeSync(this.#fd)
  }
}

interface FileStates {
  readonly stats: ReadonlyArray<Fs.Stats | undefined>
  readonly checkpoint: string
  /** No checkpoint went on while the files were looked at: one takes seconds when much has to be written. */
  readonly isSettled: boolean
  /** The `-wal` is shorter than what was committed into it. */
  readonly walIsCut: boolean
}

/** What is committed lies in the first two, so they are looked at with each commit; the others now and then. */
const parts = ["", ...companions.map(([suffix]) => suffix)]

/** One look at the files by their paths, at the others too if no earlier one is given; undefined where it shows nothing. */
const statesOf = (file: string, index: WalIndex, earlier?: FileStates): FileStates | undefined => {
  try {
    const before = index.read()
    const stats = parts.map((suffix, part) =>
      earlier && part > 1 ? earlier.stats[part] : Fs.statSync(file + suffix, { throwIfNoEntry: false })
    )
    const { bytes, checkpoint, isWriting } = index.read()
    const isSame = checkpoint === before.checkpoint
    const walIsCut = isSame && bytes === before.bytes && (stats[1]?.size ?? bytes) < bytes
    return { stats, checkpoint, isSettled: isSame && !isWriting, walIsCut }
  } catch {
    return undefined
  }
}

const millis = (time: number) => Math.trunc(time)

const takenAway = (was: Fs.Stats | undefined, is: Fs.Stats | undefined) => {
  if (is === undefined) return "was deleted"
  return was?.ino === is.ino && was.dev === is.dev ? undefined : "was replaced"
}

/** What happened to the files between two looks that SQLite did not do, and what to do about it. */
const compare = (
  file: string,
  was: FileStates,
  is: FileStates
): readonly [what: string, advice: string] | undefined => {
  const [wasMain, isMain] = [was.stats[0], is.stats[0]]
  const gone = takenAway(wasMain, isMain)
  if (gone) return [`${file} ${gone}`, restoring]
  for (const [index, [suffix, advice]] of companions.entries()) {
    const gone = takenAway(was.stats[index + 1], is.stats[index + 1])
    if (gone) return [`${file}${suffix} ${gone}`, advice]
  }
  if (is.walIsCut) return [`${file}-wal was truncated`, restoring]
  if (wasMain === undefined || isMain === undefined) return undefined
  if (!was.isSettled || !is.isSettled || was.checkpoint !== is.checkpoint) return undefined
  if (isMain.size < wasMain.size) return [`${file} was truncated`, restoring]
  return isMain.size > wasMain.size || millis(isMain.mtimeMs) !== millis(wasMain.mtimeMs)
    ? [`${file} was written to, or touched, by another program`, examining]
    : undefined
}

/**
 * Watches the files of the open database. SQLite goes on with what it has open when they are deleted, replaced or
 * overwritten, and everything committed from then on is lost: so nothing is, from the moment that it is noticed.
 */
export class DatabaseFile extends Context.Tag("orders/DatabaseFile")<
  DatabaseFile,
  {
    /** Done, with what happened, once the database cannot be used any more until a restart. */
    readonly fault: Deferred.Deferred<string>
    /** A statement that meets damage is such a fault. */
    readonly noticing: <A, E, R>(statement: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** Writes only while the files are the ones that were opened, and succeeds only if they still are afterwards. */
    readonly guarded: <A, E, R>(write: Effect.Effect<A, E, R>) => Effect.Effect<A, E | StorageUnavailable, R>
  }
>() {}

/**
 * Takes two steps, for what this opens may be closed only after the connection: closing any other descriptor of a file
 * gives up the locks that SQLite has on it. `begin` belongs after the connection has been set up.
 */
export const watchFiles = Effect.fnUntraced(function* (file: string) {
  let opened: WalIndex | undefined
  yield* Effect.addFinalizer(() => Effect.sync(() => opened?.close()))

  const begin = Effect.gen(function* () {
    const index = yield* Effect.sync(() => new WalIndex(file))
    opened = index
    const fault = yield* Deferred.make<string>()
    let last = statesOf(file, index)

    const fail = (what: string, advice: string) =>
      Effect.flatMap(Deferred.succeed(fault, what), (isFirst) =>
        isFirst ? Effect.logError(`No order is taken until a restart: ${what}. ${advice}`) : Effect.void
      )

    const check = (isCommit: boolean) =>
      Effect.suspend(() => {
        const was = last
        last = statesOf(file, index, isCommit ? was : undefined) ?? was
        const found = was && last && compare(file, was, last)
        return found ? fail(...found) : Effect.void
      })
    const refuseIfFaulty = Effect.whenEffect(new StorageUnavailable({}), Deferred.isDone(fault))
    const checked = Effect.zipRight(check(true), refuseIfFaulty)

    yield* keepRunning(
      "watch on the database file",
      Effect.forever(Effect.zipRight(Effect.sleep("1 second"), check(false)))
    )

    return DatabaseFile.of({
      fault,
      noticing: Effect.tapError((error) => (isDamage(error) ? fail(`${file} is damaged`, restoring) : Effect.void)),
      guarded: (write) => Effect.zipRight(checked, Effect.zipLeft(write, checked))
    })
  })
  return { begin }
})
