import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { hasMariaDb, mariaDbDatabases, unlessMariaDb } from "../support/MariaDb.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { makeCaller } from "./Caller.ts"
import { startShop } from "./Shop.ts"
import type { Settings, Subject } from "./Subject.ts"
import { subjects } from "./Subjects.ts"

/** The settings that name a database that is empty, each time. */
type Empty = Effect.Effect<Record<string, string>>

/** What a service of its own, on that database, was asked and answered. */
const transcriptOf = ({ restarted, run, settings }: Subject, empty: Empty) =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const given = { ...(yield* empty), ...(yield* startShop) }
    const start = ({ environment, workers }: Settings) =>
      startService(folder, { ...given, ...environment, WORKERS: String(workers) })
    const first = yield* start(settings)
    const { caller, moveTo, transcript } = makeCaller([first.url])
    yield* Effect.scoped(run(caller))
    if (restarted !== undefined) {
      first.child.kill("SIGTERM")
      assert.strictEqual(yield* first.exited, 0)
      moveTo([(yield* start(restarted.settings)).url])
      yield* Effect.scoped(restarted.run(caller))
    }
    return transcript()
  }).pipe(Effect.scoped)

const onSqlite = new Map(
  subjects.map((subject) => [subject.title, Effect.runSync(Effect.cached(transcriptOf(subject, Effect.succeed({}))))])
)

/** Every subject: what is asserted in it holds, and each answer is to the letter that of a service on SQLite. */
const answersAsSqlite = (name: string, isThere: boolean, makeEmpty: () => Empty) =>
  describe.skipIf(!isThere)(name, () => {
    const empty = makeEmpty()
    for (const subject of subjects) {
      it.live(subject.title, () =>
        Effect.gen(function* () {
          const expected = yield* onSqlite.get(subject.title) ?? Effect.dieMessage("no such subject")
          assert.strictEqual(yield* transcriptOf(subject, empty), expected)
        })
      )
    }
  })

describe("The answers of a service on SQLite", () => {
  for (const [title, transcript] of onSqlite) it.live(title, () => Effect.asVoid(transcript))
})

describe("are those of a service on", () => {
  answersAsSqlite(`PostgreSQL${unlessPostgres}`, hasPostgres, () =>
    Effect.map(postgresSchemas(), (url) => ({ DATABASE_URL: url }))
  )
  answersAsSqlite(`MariaDB${unlessMariaDb}`, hasMariaDb, () =>
    Effect.map(mariaDbDatabases().fresh, (url) => ({ DATABASE_URL: url }))
  )
})
