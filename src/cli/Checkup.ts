import * as Fs from "node:fs/promises"
import { Clock, Effect, Either } from "effect"
import { compareSchemas, readSchema, runsWhenRead, schemaAfter, schemaQuery } from "../store/sqlite/DatabaseSchema.ts"
import { othersAccess } from "../store/sqlite/FileAccess.ts"
import { latestMigration, migrations } from "../store/sqlite/Migrations.ts"
import { applicationId } from "../store/sqlite/SetUp.ts"
import { messageOf, resultCode } from "../store/sqlite/SqliteErrors.ts"
import { type Check, error, notByUs, ok, restore, warning } from "./Check.ts"
import { CannotRead, type DatabaseReader, isHeld, open, wasOurs } from "./DatabaseReader.ts"
import { misused } from "./Failure.ts"
import { contentChecks } from "./FileChecks.ts"

/** SQLite says that pages are damaged. */
const isDamage = (cause: unknown) => resultCode(cause).startsWith("SQLITE_CORRUPT")

const unread = (name: string, cause: unknown) => error(name, `cannot be read: ${messageOf(cause)}`, restore)

/** A check of damaged pages may find out by failing. */
const attempt = (name: string, check: Effect.Effect<Check, CannotRead>) =>
  Effect.catchAll(check, ({ cause }) => Effect.succeed(unread(name, cause)))

/** The checks that need no page of the database, and the one that found it damaged. */
const unreadable = Effect.fnUntraced(function* (file: string, cause: unknown) {
  const held = yield* isHeld(file)
  return [
    ok("service", held ? "running" : "not running"),
    yield* checkDisk(file),
    yield* checkAccess(file),
    unread("integrity", cause)
  ]
})

const cannotOpen = (file: string, cause: unknown) =>
  resultCode(cause) === "SQLITE_NOTADB"
    ? misused(`${file} is not a SQLite database.`)
    : misused(`${file} cannot be opened: ${messageOf(cause)}.`)

/** Litestream's own, which replicates the database. */
const isLitestream = (table: string) => /^_litestream_(seq|lock)$/.test(table)

const checkSchema = (expected: ReadonlyArray<unknown>, compared: ReturnType<typeof compareSchemas>): Check => {
  const { differing, foreign, indices, refused } = compared
  if (refused.length > 0) {
    return error(
      "schema",
      `not made by this service, and may change what is stored and read: ${refused.join(", ")}`,
      "Nothing else was looked at. Find out where that comes from, then remove it by DROP and call the doctor again, or " +
        "go back to a backup by `orders restore`."
    )
  }
  if (differing.length > 0) return error("schema", `differs in: ${differing.join(", ")}`, notByUs)
  const others = foreign.filter((table) => !isLitestream(table))
  const found = [
    `${expected.length} tables and indices as the migrations make them`,
    ...(foreign.some(isLitestream) ? ["and Litestream's"] : []),
    ...(indices.length > 0
      ? [`and ${indices.length === 1 ? "an index" : "indices"} of another program: ${indices.join(", ")}`]
      : []),
    ...(others.length > 0 ? [`and tables of another program: ${others.join(", ")}`] : [])
  ].join(", ")
  return others.length === 0
    ? ok("schema", found)
    : warning("schema", found, "They do no harm, but keep other programs' data in a database of its own.")
}

const checkIntegrity = (reader: DatabaseReader): Check => {
  const lines = reader.db.prepare("PRAGMA integrity_check(5)").pluck().all().map(String)
  return lines.length === 1 && lines[0] === "ok"
    ? ok("integrity", "every page and index agrees")
    : error("integrity", lines.join("; "), restore)
}

const checkSettings = (reader: DatabaseReader, held: boolean): Check => {
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

/** Whether others than the owner get at the files. */
const checkAccess = (file: string) =>
  Effect.map(
    Effect.promise(() => othersAccess(file)),
    (others) =>
      others ? warning("access", others.found, others.advice) : ok("access", "nobody but the owner gets at the files")
  )

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
      try: () => {
        const { rows } = readSchema(reader.db.prepare(schemaQuery).all())
        const query = "SELECT COALESCE(max(migration_id), 0) FROM effect_sql_migrations"
        return { rows, latest: runsWhenRead(rows).length > 0 ? latestMigration : reader.number(query) }
      },
      catch: (cause) => new CannotRead({ cause })
    })
  )
  if (Either.isLeft(applied)) {
    const { cause } = applied.left
    if (isDamage(cause)) return yield* unreadable(file, cause)
    return yield* misused(`${file} cannot be read: ${messageOf(cause)}. ${restore}`)
  }
  const { latest, rows } = applied.right
  if (latest > latestMigration) {
    return yield* misused(`${file} was made by a newer version of this service: use the doctor of that version.`)
  }
  const expected = yield* schemaAfter(migrations, latest)
  const compared = compareSchemas(rows, expected)
  const first = [
    ok("service", held ? "running" : "not running"),
    yield* checkDisk(file),
    yield* checkAccess(file),
    checkSchema(expected, compared)
  ]
  // What a stranger put there may run as soon as anything is read, and without end.
  if (compared.refused.length > 0) return first
  return [
    ...first,
    yield* attempt(
      "integrity",
      reader.read(() => checkIntegrity(reader))
    ),
    yield* attempt(
      "settings",
      reader.read(() => checkSettings(reader, held))
    ),
    checkMigrations(latest),
    ...(yield* Effect.forEach(contentChecks(reader, { latest, isHeld: held, now }), ([name, check]) =>
      attempt(name, check)
    ))
  ]
}, Effect.scoped)
