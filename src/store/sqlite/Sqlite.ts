import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer, Option, Schedule } from "effect"
import { AppConfig } from "../../AppConfig.ts"
import { StartupError } from "../../StartupError.ts"
import { checkFiles } from "./DatabaseCheck.ts"
import { DatabaseFile, watchFiles } from "./DatabaseFile.ts"
import { makeFile, makeFolder, othersAccess, ownerOnly } from "./FileAccess.ts"
import { lockSuffix } from "./LockFile.ts"
import { finishRestore } from "./RestoreSwitch.ts"
import { setUp } from "./SetUp.ts"
import * as Sqlite from "./SqliteClient.ts"
import { isBusy } from "./SqliteErrors.ts"
import { orRefuse, refuse, refuseBy } from "./StartRefusal.ts"
import { keepWalShort } from "./WalTrim.ts"

const preflight = (file: string) =>
  Effect.tryPromise({
    try: async () => {
      await makeFolder(Path.dirname(file))
      const handle = await Fs.open(file, "a+", ownerOnly)
      try {
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0)
        return bytesRead === 0 || buffer.toString("latin1") === "SQLite format 3\0"
      } finally {
        await handle.close()
      }
    },
    catch: (cause) => cause
  }).pipe(
    Effect.catchAll((cause) => refuseBy(file, cause)),
    Effect.filterOrFail(
      (isDatabase) => isDatabase,
      () => refuse(file, "not a SQLite database")
    )
  )

const open = (file: string) => orRefuse(file)(Sqlite.make(file))

/** One process per database: the lock lasts as long as this scope or this process, whichever ends first. */
const lock = (file: string) =>
  Effect.promise(() => makeFile(file + lockSuffix)).pipe(
    Effect.zipRight(open(file + lockSuffix)),
    Effect.flatMap((sql) => sql`BEGIN EXCLUSIVE`),
    Effect.mapError((error) =>
      isBusy(error)
        ? new StartupError({ lines: [`DATABASE_URL: ${file} is in use by another process: stop that one first`] })
        : error
    ),
    orRefuse(file + lockSuffix)
  )

/** The same for a program other than the service. */
export const lockDatabase = (file: string) => Effect.provide(lock(file), Reactivity.layer)

/** Counted, for a schedule that ends by the time goes by the clock that can be set. */
const tenSeconds = Schedule.spaced("100 millis").pipe(Schedule.intersect(Schedule.recurs(100)))

/**
 * The SQLite client, ready for use: the database locked against other processes, durable (WAL, `synchronous = FULL`:
 * a commit has been synced to disk), migrated. A file that cannot be used is a `StartupError` of one line.
 */
export const SqlLive: Layer.Layer<SqlClient.SqlClient | DatabaseFile, StartupError, AppConfig> = Layer.scopedContext(
  Effect.gen(function* () {
    const { databaseFile, history } = yield* AppConfig
    yield* preflight(databaseFile)
    // The lock must be the same by whatever link the file is reached.
    const file = yield* Effect.promise(() => Fs.realpath(databaseFile)).pipe(orRefuse(databaseFile))
    yield* lock(file)
    const aside = yield* Effect.promise(() => finishRestore(file)).pipe(orRefuse(file))
    if (aside)
      yield* Effect.logInfo(`Finished a restore that was interrupted; the former database: ${aside.join(", ")}`)
    yield* checkFiles(file)
    const files = yield* watchFiles(file)
    const sql = yield* open(file)
    yield* setUp(sql, Option.isSome(history)).pipe(
      Effect.retry({ while: isBusy, schedule: tenSeconds }),
      orRefuse(file)
    )
    const others = yield* Effect.promise(() => othersAccess(file)).pipe(orRefuse(file))
    if (others) yield* Effect.logWarning(`${others.found}: ${others.advice}`)
    const watched = yield* files.begin
    yield* keepWalShort(sql, file, watched.fault)
    return Context.make(SqlClient.SqlClient, sql).pipe(Context.add(DatabaseFile, watched))
  })
).pipe(Layer.provide(Reactivity.layer))
