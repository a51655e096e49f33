import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import * as Migrator from "@effect/sql-sqlite-node/SqliteMigrator"
import { Cause, Context, Effect, Layer, type ParseResult, Random, Schedule } from "effect"
import { AppConfig } from "../../AppConfig.ts"
import { makeLogLimit } from "../../LogLimit.ts"
import { StorageUnavailable } from "../../order/Order.ts"
import { StartupError } from "../../StartupError.ts"
import { checkFiles, damaged } from "./DatabaseCheck.ts"
import { DatabaseFile, isDamage, resultCode, watchFiles } from "./DatabaseFile.ts"
import { compareSchemas, decodeSchema, schemaAfter, schemaQuery } from "./DatabaseSchema.ts"
import migration0001 from "./migrations/0001_orders.ts"
import migration0002 from "./migrations/0002_rounds.ts"
import migration0003 from "./migrations/0003_listings.ts"
import migration0004 from "./migrations/0004_clocks.ts"
import migration0005 from "./migrations/0005_probe.ts"
import { finishRestore } from "./RestoreSwitch.ts"
import * as Sqlite from "./SqliteClient.ts"
import { keepWalShort } from "./WalTrim.ts"

/** Every migration, in order. A test compares this record with the folder. */
export const migrations = {
  "0001_orders": migration0001,
  "0002_rounds": migration0002,
  "0003_listings": migration0003,
  "0004_clocks": migration0004,
  "0005_probe": migration0005
}

/** The number of the last migration. */
export const latestMigration = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

const busy = /^SQLITE_(BUSY|LOCKED)/
const unavailable =
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PERM|AUTH|PROTOCOL|NOLFS|INTERRUPT)/

/**
 * What a failed statement means to its caller: the storage's fault is `StorageUnavailable` (and a line in the log, of
 * each code once a minute at most), anything else, such as a broken constraint, is a defect in the statement or its
 * values.
 */
export const makeOrUnavailable = Effect.map(
  makeLogLimit,
  (limited) =>
    <A, R>(self: Effect.Effect<A, SqlError | ParseResult.ParseError, R>): Effect.Effect<A, StorageUnavailable, R> =>
      Effect.catchAll(self, (error) => {
        const code = error._tag === "SqlError" ? resultCode(error.cause) : ""
        if (!unavailable.test(code)) return Effect.die(error)
        return Effect.zipRight(
          limited(code, Effect.logWarning(`Storage unavailable: ${code}: ${messageOf(error.cause)}`)),
          new StorageUnavailable({})
        )
      })
)

const isBusy = (error: unknown) => error instanceof SqlError && busy.test(resultCode(error.cause))

/** Counted, for a schedule that ends by the time goes by the clock that can be set. */
const tenSeconds = Schedule.spaced("100 millis").pipe(Schedule.intersect(Schedule.recurs(100)))

const shortWhile = Effect.flatMap(Random.nextIntBetween(5, 100), Effect.sleep)

/**
 * Runs the body in one immediate transaction. Unlike `sql.withTransaction`, a COMMIT that fails is a typed error, and
 * whatever failed, the connection is never left inside the transaction. While another process holds the write lock
 * it tries again, for ever: the caller limits the time. Only that waiting can be interrupted.
 */
export const transaction = <A, E, R>(sql: SqlClient.SqlClient, body: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const connection = yield* sql.reserve
    const run = (statement: string) => connection.execute(statement, [], undefined)
    return yield* run("BEGIN IMMEDIATE").pipe(
      Effect.zipRight(Effect.provideService(body, SqlClient.TransactionConnection, [connection, 0])),
      Effect.zipLeft(run("COMMIT")),
      Effect.onError(() => Effect.ignore(run("ROLLBACK")))
    )
  }).pipe(
    Effect.scoped,
    Effect.retry({
      while: (error) => (isBusy(error) ? Effect.as(Effect.interruptible(shortWhile), true) : Effect.succeed(false))
    }),
    Effect.uninterruptible
  )

/** Marks a database as ours: "ORDR", in the header field SQLite has for it. */
export const applicationId = 0x4f524452

const advice = "give the path of a database this service made, or of a new file in a folder it may write to"

const refuse = (file: string, why: string, what = advice) =>
  new StartupError({ lines: [`DATABASE_URL: ${file}: ${why}: ${what}`] })

/** SQLite reports some effects of a full disk as an I/O error: then the disk is asked. */
const isDiskFull = (file: string, code: string) =>
  /^(SQLITE_FULL|ENOSPC|EDQUOT)/.test(code)
    ? Effect.succeed(true)
    : /^SQLITE_(IOERR|CANTOPEN)/.test(code)
      ? Effect.promise(() => Fs.statfs(Path.dirname(file)).then(({ bavail, bsize }) => bavail * bsize < 1_048_576))
      : Effect.succeed(false)

/** What an error of the system or of SQLite means to whoever starts the service. */
const refuseBy = Effect.fnUntraced(function* (file: string, error: unknown) {
  const code = resultCode(error)
  if (yield* isDiskFull(file, code)) {
    return yield* refuse(file, `the disk is full (${messageOf(error)})`, "make room on it, then start again")
  }
  return yield* code.startsWith("SQLITE_IOERR")
    ? refuse(file, `${messageOf(error)} (${code})`, "the disk fails; see the system's log")
    : refuse(file, messageOf(error))
})

const preflight = (file: string) =>
  Effect.tryPromise({
    try: async () => {
      await Fs.mkdir(Path.dirname(file), { recursive: true })
      const handle = await Fs.open(file, "a+")
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

const lockSuffix = ".lock"

/** Whatever goes wrong while a database is opened and set up, as one line. The libraries throw some of it as defects. */
const orRefuse =
  (file: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, StartupError, R> =>
    Effect.catchAllCause(self, (cause) => {
      const error = Cause.squash(cause)
      if (error instanceof StartupError) return error
      if (isBusy(error)) {
        return new StartupError({
          lines: [`DATABASE_URL: ${file} is being written by another program: wait or stop it`]
        })
      }
      const source = error instanceof SqlError ? error.cause : error
      if (isDamage(error) && !file.endsWith(lockSuffix)) return damaged(file, messageOf(source))
      return refuseBy(file, source)
    })

const open = (file: string) => orRefuse(file)(Sqlite.make(file))

/** One process per database: the lock lasts as long as this scope or this process, whichever ends first. */
const lock = (file: string) =>
  Effect.flatMap(open(file + lockSuffix), (sql) => sql`BEGIN EXCLUSIVE`).pipe(
    Effect.mapError((error) =>
      isBusy(error)
        ? new StartupError({ lines: [`DATABASE_URL: ${file} is in use by another process: stop that one first`] })
        : error
    ),
    orRefuse(file + lockSuffix)
  )

/** The same for whoever is no service. */
export const lockDatabase = (file: string) => Effect.provide(lock(file), Reactivity.layer)

const setUp = Effect.fn("Sql.setUp")(function* (sql: SqliteClient) {
  const [header] = yield* sql<{ application_id: number }>`PRAGMA application_id`
  const [schema] = yield* sql<{ objects: number }>`SELECT count(*) AS objects FROM sqlite_schema`
  if (header?.application_id !== applicationId && schema?.objects !== 0) {
    return yield* refuse(sql.config.filename, "a database of another program")
  }
  yield* sql`PRAGMA journal_mode = WAL`
  // Must be said on every connection: better-sqlite3 is built to fall back to NORMAL in WAL mode.
  yield* sql`PRAGMA synchronous = FULL`
  // Large statements would otherwise need a writable folder for temporary files.
  yield* sql`PRAGMA temp_store = MEMORY`
  yield* sql`PRAGMA application_id = ${sql.literal(String(applicationId))}`
  yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations) }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql)
  )

  const [latest] = yield* sql<{ id: number }>`SELECT max(migration_id) AS id FROM effect_sql_migrations`
  if (latest === undefined || latest.id > latestMigration) {
    return yield* refuse(sql.config.filename, "a database of a newer version of this service")
  }
  const is = decodeSchema(yield* sql.unsafe(schemaQuery))
  const { differing } = compareSchemas(is, yield* schemaAfter(migrations, latestMigration))
  if (differing.length > 0) {
    return yield* damaged(sql.config.filename, `another program has changed its ${differing.join(", ")}`)
  }
  const counted = yield* sql`SELECT * FROM totals`
  if (counted.length !== 1) return yield* damaged(sql.config.filename, "the totals are gone")
  // Both ends of the table, by way of its ids.
  yield* sql`
    SELECT * FROM orders
    WHERE order_id IN (
      (SELECT order_id FROM orders ORDER BY seq LIMIT 1), (SELECT order_id FROM orders ORDER BY seq DESC LIMIT 1)
    )`
  const [mode] = yield* sql<{ synchronous: number }>`PRAGMA synchronous`
  if (mode?.synchronous !== 2) return yield* Effect.dieMessage("PRAGMA synchronous is not FULL")
})

/**
 * The SQLite client, ready for use: the database locked against other processes, durable (WAL, `synchronous = FULL`:
 * a commit has been synced to disk), migrated. A file that cannot be used is a `StartupError` of one line.
 */
export const SqlLive: Layer.Layer<SqlClient.SqlClient | DatabaseFile, StartupError, AppConfig> = Layer.scopedContext(
  Effect.gen(function* () {
    const { databaseFile } = yield* AppConfig
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
    yield* setUp(sql).pipe(Effect.retry({ while: isBusy, schedule: tenSeconds }), orRefuse(file))
    const watched = yield* files.begin
    yield* keepWalShort(sql, file, watched.fault)
    return Context.make(SqlClient.SqlClient, sql).pipe(Context.add(DatabaseFile, watched))
  })
).pipe(Layer.provide(Reactivity.layer))
