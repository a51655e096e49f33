import * as Fs from "node:fs/promises"
import type Sqlite from "better-sqlite3"
import { Clock, Data, Effect, Either, Schema } from "effect"
import { suspectLosses } from "../store/Command.ts"
import { countedTotals } from "../store/sqlite/DatabaseCheck.ts"
import { resultCode } from "../store/sqlite/DatabaseFile.ts"
import { compareSchemas, decodeSchema, schemaAfter, schemaQuery } from "../store/sqlite/DatabaseSchema.ts"
import { applicationId, latestMigration, migrations } from "../store/sqlite/Sqlite.ts"
import { loadDriver } from "../store/sqlite/SqliteDriver.ts"
import { misused } from "./Failure.ts"

export interface Check {
  readonly name: string
  readonly state: "ok" | "warning" | "error"
  readonly found: string
  /** What to do about it. */
  readonly advice: string | null
}

const ok = (name: string, found: string): Check => ({ name, state: "ok", found, advice: null })
const warning = (name: string, found: string, advice: string): Check => ({ name, state: "warning", found, advice })
const error = (name: string, found: string, advice: string): Check => ({ name, state: "error", found, advice })

const messageOf = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

const restore =
  "Stop the service, and go back to a backup by `orders restore`, which keeps the damaged files; what can be read of " +
  "them comes out by: sqlite3 FILE .recover"
const notByUs =
  "Something other than this service changed the database. Stop the service, and go back to a backup by `orders restore`."

class CannotRead extends Data.TaggedError("CannotRead")<{ readonly cause: unknown }> {}

/** Reads of one database, open for reading only. */
class Reader {
  readonly db: Sqlite.Database
  constructor(file: string) {
    const Driver = loadDriver()
    this.db = new Driver(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  }

  /** The one number that a query answers with. */
  number(query: string, ...values: ReadonlyArray<number>): number {
    return Number(
      this.db
        .prepare(query)
        .pluck()
        .get(...values)
    )
  }

  rows<A, I>(schema: Schema.Schema<A, I>, query: string): ReadonlyArray<A> {
    return Schema.decodeUnknownSync(Schema.Array(schema))(this.db.prepare(query).all())
  }
}

/** SQLite says that pages are damaged. */
const isDamage = (cause: unknown) => resultCode(cause).startsWith("SQLITE_CORRUPT")

const damaged = (cause: unknown) => error("integrity", `cannot be read: ${messageOf(cause)}`, restore)

/** Whether the header of a file says that it is a database of this service. */
export const ownHeader = (file: string) =>
  Effect.promise(async () => {
    const handle = await Fs.open(file)
    try {
      const header = Buffer.alloc(72)
      await handle.read(header, 0, 72, 0)
      return header.readInt32BE(68) === applicationId
    } finally {
      await handle.close()
    }
  })

/** Whether a file that SQLite cannot read was a database of this service: its header says so, or the lock beside it. */
const wasOurs = (file: string) =>
  Effect.flatMap(ownHeader(file), (isNamed) =>
    isNamed
      ? Effect.succeed(true)
      : Effect.promise(() =>
          Fs.access(`${file}.lock`).then(
            () => true,
            () => false
          )
        )
  )

/** The checks that need no page of the database, and the one that found it damaged. */
const unreadable = Effect.fnUntraced(function* (file: string, cause: unknown) {
  const held = yield* isHeld(file)
  return [ok("service", held ? "running" : "not running"), yield* checkDisk(file), damaged(cause)]
})

const cannotOpen = (file: string, cause: unknown) =>
  resultCode(cause) === "SQLITE_NOTADB"
    ? misused(`${file} is not a SQLite database.`)
    : misused(`${file} cannot be opened: ${messageOf(cause)}.`)

const open = (file: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const reader = new Reader(file)
        try {
          const id = reader.number("PRAGMA application_id")
          const tables = reader.number("SELECT count(*) FROM sqlite_schema")
          return { reader, id, tables }
        } catch (cause) {
          reader.db.close()
          throw cause
        }
      },
      catch: (cause) => new CannotRead({ cause })
    }),
    ({ reader }) => Effect.sync(() => reader.db.close())
  )

/** Whether a service has the database: it holds the neighbour file locked for as long as it lives. */
const isHeld = (file: string) =>
  Effect.sync(() => {
    try {
      const Driver = loadDriver()
      const lock = new Driver(`${file}.lock`, { readonly: true, fileMustExist: true, timeout: 0 })
      try {
        lock.prepare("SELECT count(*) FROM sqlite_schema").get()
        return false
      } finally {
        lock.close()
      }
    } catch (cause) {
      return resultCode(cause).startsWith("SQLITE_BUSY")
    }
  })

/** Litestream's own, which replicates the database. */
const isLitestream = (table: string) => /^_litestream_(seq|lock)$/.test(table)

const checkSchema = (reader: Reader, expected: ReturnType<typeof decodeSchema>): Check => {
  const is = decodeSchema(reader.db.prepare(schemaQuery).all())
  const { differing, foreign } = compareSchemas(is, expected)
  if (differing.length > 0) return error("schema", `differs in: ${differing.join(", ")}`, notByUs)
  const others = foreign.filter((table) => !isLitestream(table))
  const found = [
    `${expected.length} tables and indices as the migrations make them`,
    ...(foreign.some(isLitestream) ? ["and Litestream's"] : []),
    ...(others.length > 0 ? [`and tables of another program: ${others.join(", ")}`] : [])
  ].join(", ")
  return others.length === 0
    ? ok("schema", found)
    : warning("schema", found, "They do no harm, but keep other programs' data in a database of its own.")
}

const checkIntegrity = (reader: Reader): Check => {
  const lines = reader.db.prepare("PRAGMA integrity_check(5)").pluck().all().map(String)
  return lines.length === 1 && lines[0] === "ok"
    ? ok("integrity", "every page and index agrees")
    : error("integrity", lines.join("; "), restore)
}

const checkSettings = (reader: Reader, held: boolean): Check => {
  const mode = String(reader.db.pragma("journal_mode", { simple: true }))
  const encoding = String(reader.db.pragma("encoding", { simple: true }))
  const found = `journal_mode ${mode}, encoding ${encoding}, page size ${reader.number("PRAGMA page_size")}`
  // As a backup by VACUUM INTO has it.
  if (!held && mode === "delete" && encoding === "UTF-8") {
    return ok("settings", `${found}; the service sets wal when it starts`)
  }
  return mode === "wal" && encoding === "UTF-8"
    ? ok("settings", found)
    : warning(
        "settings",
        found,
        "The service sets journal_mode wal when it starts. Do not let other programs change it."
      )
}

const checkMigrations = (latest: number): Check => {
  return latest === latestMigration
    ? ok("migrations", `all ${latestMigration} are applied`)
    : warning(
        "migrations",
        `${latest} of ${latestMigration} are applied`,
        "The service applies the others when it starts."
      )
}

const TotalsRow = Schema.Struct({ name: Schema.String, kept: Schema.Int, counted: Schema.Int })

/** The migration since which it is recorded how long each run took. */
const migrationOfTook = 4

/** All-time totals against the rows there are, and those that were removed after their retention. */
const checkTotals = (reader: Reader, latest: number): Check => {
  if (reader.number("SELECT count(*) FROM totals") !== 1) return error("totals", "the table has lost its row", notByUs)
  const rows = reader.rows(TotalsRow, countedTotals)
  const wrong = rows.filter(({ counted, kept }) => counted !== kept)
  const took = latest < migrationOfTook ? "finished_at - started_at" : "COALESCE(took, finished_at - started_at)"
  const elapsed = reader.number(`SELECT COALESCE(sum(${took}), 0) FROM orders WHERE status = 'Completed'`)
  const summed = reader.number("SELECT processing_ms FROM totals")
  const isExact = reader.number("SELECT count(*) FROM pruned") === 0
  const found = [
    ...wrong.map(({ counted, kept, name }) => `${name} ${kept}, but ${counted} are there`),
    ...((isExact ? summed === elapsed : summed >= elapsed)
      ? []
      : [`processing time ${summed} ms, but the orders took ${elapsed} ms`])
  ]
  const sum = rows.reduce((orders, { kept }) => orders + kept, 0)
  return found.length === 0 ? ok("totals", `${sum} orders, as counted`) : error("totals", found.join("; "), notByUs)
}

/** What must be 0 of what orders are found by, by name. */
const findings = {
  "error codes counted otherwise than their Failed orders": `
    SELECT count(*) FROM (
      SELECT error_code, count(*) AS count FROM orders WHERE status = 'Failed' AND error_code IS NOT NULL
      GROUP BY error_code
    ) AS present FULL JOIN failures USING (error_code)
    WHERE present.count IS NOT failures.count`,
  "error codes more or fewer than are counted": `
    SELECT abs(failure_codes - (SELECT count(*) FROM failures)) FROM totals`,
  "orders accepted outside of the time noted for their block": `
    SELECT count(*) FROM orders LEFT JOIN spans ON block = seq / 1024
    WHERE earliest IS NULL OR accepted_at NOT BETWEEN earliest AND latest`
}

const migrationOfListings = 3

const checkListings = (reader: Reader, latest: number): Check => {
  if (latest < migrationOfListings) return ok("listings", "not kept by the version that wrote this")
  const wrong = Object.entries(findings).flatMap(([what, query]) => {
    const count = reader.number(query)
    return count === 0 ? [] : [`${what}: ${count}`]
  })
  return wrong.length === 0
    ? ok("listings", "failures and times are found as they are")
    : error("listings", wrong.join("; "), notByUs)
}

const minute = 60_000

const orders = (count: number) => (count === 1 ? "1 order" : `${count} orders`)

const checkProcessing = (reader: Reader, held: boolean, now: number): Check => {
  const processing = reader.number("SELECT count(*) FROM orders WHERE status = 'Processing'")
  if (!held && processing > 0) {
    return ok("processing", `${orders(processing)} Processing; the service processes them again when it starts`)
  }
  const old = reader.number(
    "SELECT count(*) FROM orders WHERE status = 'Processing' AND started_at < ?",
    now - 60 * minute
  )
  return old > 0
    ? warning(
        "processing",
        `${orders(old)} Processing for more than an hour`,
        "See whether ATTEMPT_TIMEOUT is meant to be that long; if not, restart the service."
      )
    : ok("processing", `${orders(processing)} Processing`)
}

const checkPending = (reader: Reader, held: boolean, now: number): Check => {
  const pending = reader.number("SELECT count(*) FROM orders WHERE status = 'Pending'")
  const overdue = "SELECT count(*) FROM orders WHERE status = 'Pending' AND due_at < ?"
  const late = reader.number(overdue, now - 60 * minute)
  if (late === 0) return ok("pending", `${orders(pending)} Pending`)
  return warning(
    "pending",
    `${orders(late)} of ${pending} Pending due for more than an hour`,
    held
      ? "See `orders metrics`: an open breaker means the processor fails; busy workers, that there are too few."
      : "No service runs: start it."
  )
}

const checkSuspects = (reader: Reader): Check => {
  const lost = reader.number(
    `SELECT count(*) FROM orders WHERE status IN ('Pending', 'Processing') AND losses >= ${suspectLosses}`
  )
  return lost === 0
    ? ok("suspects", "no order was lost with the process again and again")
    : warning(
        "suspects",
        `${orders(lost)} lost with the process ${suspectLosses} times or more`,
        "The processor may end the process at them: they are worked alone. Look at them, or cancel them."
      )
}

const isFinal = "status IN ('Completed', 'Failed', 'Cancelled')"

/** What may not be true of any row, by name. */
const rules = {
  "final without a time of finishing": `${isFinal} AND finished_at IS NULL`,
  "not final, but finished": `NOT ${isFinal} AND finished_at IS NOT NULL`,
  "Processing without a start": "status = 'Processing' AND started_at IS NULL",
  "Pending, but started": "status = 'Pending' AND started_at IS NOT NULL",
  "Completed or Failed without a run": "status IN ('Completed', 'Failed') AND (run = 0 OR started_at IS NULL)",
  "finished before it started": "finished_at < started_at",
  "more attempts than runs": "attempts > run",
  "Failed without an error": "status = 'Failed' AND error_code IS NULL",
  "a result, but not Completed": "status <> 'Completed' AND result IS NOT NULL",
  "items that are no list of 1 to 1000":
    "json_type(item_ids) IS NOT 'array' OR json_array_length(item_ids) NOT BETWEEN 1 AND 1000",
  "metadata that is no object": "metadata IS NOT NULL AND json_type(metadata) IS NOT 'object'",
  "an id that is none": "order_id GLOB '*[^A-Za-z0-9._:-]*' OR length(order_id) NOT BETWEEN 1 AND 64",
  "also among the removed": "order_id IN (SELECT order_id FROM pruned)"
}

const checkRows = (reader: Reader): Check => {
  const broken = Object.entries(rules).flatMap(([rule, where]) => {
    const count = reader.number(`SELECT count(*) FROM orders WHERE ${where}`)
    if (count === 0) return []
    const some = reader.db.prepare(`SELECT order_id FROM orders WHERE ${where} ORDER BY seq LIMIT 3`).pluck().all()
    return [`${rule}: ${orders(count)} (${some.join(", ")}${count > some.length ? ", ..." : ""})`]
  })
  return broken.length === 0 ? ok("orders", "no row contradicts itself") : error("orders", broken.join("; "), notByUs)
}

/** Times that the clock has not reached: it was ahead when they were written, or is behind now. They do no harm. */
const checkClock = (reader: Reader, now: number): Check => {
  const latest = now + minute
  const count = reader.number(
    "SELECT count(*) FROM orders WHERE accepted_at > ? OR started_at > ? OR finished_at > ?",
    ...[latest, latest, latest]
  )
  const ahead = `${orders(count)} with a time still to come: the clock of this machine was ahead, or is behind now`
  return ok("clock", count === 0 ? "no order has a time still to come" : ahead)
}

/** File systems across a network, by the number `statfs` has for each: locks and WAL are not safe on them. */
const networks = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x01021997, "9P"]
])

export const megabytes = (bytes: number) => `${Math.ceil(bytes / 1_000_000)} MB`

const checkDisk = (file: string) =>
  Effect.promise(async (): Promise<Check> => {
    const [disk, size, wal] = await Promise.all([
      Fs.statfs(file),
      Fs.stat(file),
      Fs.stat(`${file}-wal`).catch(() => ({ size: 0 }))
    ])
    const free = disk.bavail * disk.bsize
    const found = `database ${megabytes(size.size)}, -wal ${megabytes(wal.size)}, free ${megabytes(free)}`
    const network = networks.get(disk.type)
    if (network) return error("disk", `on ${network}; ${found}`, "Move the database to a local disk.")
    if (free < 200_000_000) return warning("disk", found, "Make room: without it new orders are refused.")
    if (wal.size > 500_000_000) {
      return warning("disk", found, "Another program keeps a long read transaction open on the database: end it.")
    }
    return ok("disk", found)
  })

/** A check of damaged pages may find out by failing. */
const attempt = (name: string, check: () => Check): Check => {
  try {
    return check()
  } catch (cause) {
    return error(name, `cannot be read: ${messageOf(cause)}`, restore)
  }
}

/**
 * Looks at a database without writing to it, running service or not, all in one state of it. One that is not there,
 * not ours, or of a newer version is a failure.
 */
export const examine = Effect.fnUntraced(function* (given: string) {
  const file = yield* Effect.tryPromise({
    try: () => Fs.realpath(given),
    catch: () => misused(`There is no database at ${given}. Name it by --database file:PATH or DATABASE_URL.`)
  })
  const opened = yield* Effect.either(open(file))
  if (Either.isLeft(opened)) {
    const { cause } = opened.left
    const isOurs = (isDamage(cause) || resultCode(cause) === "SQLITE_NOTADB") && (yield* wasOurs(file))
    return isOurs ? yield* unreadable(file, cause) : yield* cannotOpen(file, cause)
  }
  const { id, reader, tables } = opened.right
  if (tables === 0) return yield* misused(`${file} is empty: no service has used it yet.`)
  if (id !== applicationId) return yield* misused(`${file} is a database of another program.`)
  const held = yield* isHeld(file)
  const now = yield* Clock.currentTimeMillis

  // A read transaction, ended by closing: totals and rows must be of one moment.
  reader.db.exec("BEGIN")
  const applied = yield* Effect.either(
    Effect.try({
      try: () => reader.number("SELECT COALESCE(max(migration_id), 0) FROM effect_sql_migrations"),
      catch: (cause) => new CannotRead({ cause })
    })
  )
  if (Either.isLeft(applied)) {
    const { cause } = applied.left
    if (isDamage(cause)) return yield* unreadable(file, cause)
    return yield* misused(`${file} cannot be read: ${messageOf(cause)}. ${restore}`)
  }
  const latest = applied.right
  if (latest > latestMigration) {
    return yield* misused(`${file} was made by a newer version of this service: use the doctor of that version.`)
  }
  const expected = yield* schemaAfter(migrations, latest)
  return [
    ok("service", held ? "running" : "not running"),
    yield* checkDisk(file),
    attempt("integrity", () => checkIntegrity(reader)),
    attempt("settings", () => checkSettings(reader, held)),
    checkMigrations(latest),
    attempt("schema", () => checkSchema(reader, expected)),
    attempt("totals", () => checkTotals(reader, latest)),
    attempt("listings", () => checkListings(reader, latest)),
    attempt("processing", () => checkProcessing(reader, held, now)),
    attempt("pending", () => checkPending(reader, held, now)),
    attempt("suspects", () => checkSuspects(reader)),
    attempt("clock", () => checkClock(reader, now)),
    attempt("orders", () => checkRows(reader))
  ]
}, Effect.scoped)
