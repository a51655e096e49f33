import * as Fs from "node:fs/promises"
import { Worker } from "node:worker_threads"
import type { SqlClient } from "@effect/sql/SqlClient"
import { Deferred, Effect } from "effect"
import { keepRunning } from "../../KeepRunning.ts"
import { makeLogLimit } from "../../LogLimit.ts"
import { driverPath, precautions } from "./SqliteDriver.ts"

/** A longer `-wal` is one that a long read transaction of another program has kept from being written back. */
const limit = 64 * 1024 * 1024

/** SQLite's default, in pages. */
const automatic = 1000

/** Frames after which a checkpoint takes so little time that writers may wait for it. */
const few = 4000

/**
 * Run in a thread of its own: writing hundreds of megabytes back takes seconds. PASSIVE makes no writer wait, so what is
 * written meanwhile is left for the next round; TRUNCATE does, and comes when next to nothing is left.
 */
const program = `
  const { workerData: { driver, few, file, precautions } } = require("node:worker_threads")
  const Sqlite = require(driver)
  const db = new Sqlite(file, { fileMustExist: true, timeout: 100 })
  for (const precaution of precautions) db.pragma(precaution)
  try {
    let left = Infinity
    let before
    do {
      before = left
      const [{ checkpointed, log }] = db.pragma("wal_checkpoint(PASSIVE)")
      left = log - checkpointed
    } while (left > few && left < before)
    if (left <= few) db.pragma("wal_checkpoint(TRUNCATE)")
  } finally {
    db.close()
  }`

const trim = (file: string) =>
  Effect.async<void, Error>((resume) => {
    const worker = new Worker(program, { eval: true, workerData: { driver: driverPath(), few, file, precautions } })
    worker.on("error", (error) => resume(Effect.fail(error)))
    worker.on("exit", () => resume(Effect.void))
  }).pipe(Effect.uninterruptible)

/**
 * Cuts a `-wal` that has grown too long down again as soon as nobody reads its beginning any more. SQLite itself never
 * shortens it, and would write it all back within one commit, which holds up everything else for seconds.
 */
export const keepWalShort = Effect.fnUntraced(function* (
  sql: SqlClient,
  file: string,
  fault: Deferred.Deferred<string>
) {
  const limited = yield* makeLogLimit
  let isLong = false
  const size = Effect.promise(() =>
    Fs.stat(`${file}-wal`).then(
      ({ size }) => size,
      () => 0
    )
  )
  const checkpointAfter = (pages: number) => sql.unsafe(`PRAGMA wal_autocheckpoint = ${pages}`)

  const pass = Effect.gen(function* () {
    const before = yield* size
    if (before <= limit) {
      if (isLong) yield* checkpointAfter(automatic)
      isLong = false
      return
    }
    if (!isLong) {
      yield* checkpointAfter(0)
      yield* Effect.logWarning(
        `${file}-wal has grown to ${Math.ceil(before / 1_000_000)} MB: a large write, or another program that has kept a ` +
          "read transaction open for long; it is cut down when that ends"
      )
    }
    isLong = true
    yield* trim(file)
    if ((yield* size) > limit) yield* Effect.sleep("4 seconds")
  }).pipe(
    Effect.catchAll((error) =>
      Effect.zipRight(
        limited("failed", Effect.logWarning(`${file}-wal cannot be cut down`, error)),
        Effect.sleep("10 seconds")
      )
    ),
    Effect.unlessEffect(Deferred.isDone(fault))
  )

  return yield* keepRunning("trimming of the -wal", Effect.forever(Effect.zipRight(pass, Effect.sleep("1 second"))))
})
