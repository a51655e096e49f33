import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { hasMariaDb, mariaDbDatabases, unlessMariaDb } from "../support/MariaDb.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"
import { makeCaller, type Nodes } from "./Caller.ts"
import { startShop } from "./Shop.ts"
import type { Settings, Subject } from "./Subject.ts"
import { subjects } from "./Subjects.ts"

/** The settings that name a database that is empty, each time. */
type Empty = Effect.Effect<Record<string, string>>

/**
 * Without what shows to which node a request went, how many orders each takes into its hands, which is no setting there, and
 * what each counts for itself, which the others hear of within a second.
 */
const ofNodes = (transcript: string) =>
  transcript
    .replace(/^http_.*\n/gm, "")
    .replace(/"(?:queue_capacity|orders_refused_last_minute)":\d+|^orders_queue_capacity \d+/gm, "<of nodes>")

const urlsOf = ([first, ...others]: Arr.NonEmptyReadonlyArray<ServiceProcess>): Nodes => [
  first.url,
  ...others.map(({ url }) => url)
]

/** Waits until each node has heard of all: then what is said of the system is of them all. */
const meeting = (nodes: ReadonlyArray<ServiceProcess>) =>
  Effect.forEach(nodes.length > 1 ? nodes : [], ({ url }) =>
    until(async () => JSON.parse(await (await fetch(`${url}/api/nodes`)).text()).nodes.length === nodes.length)
  )

/** What a service of its own, of so many nodes on that database, was asked and answered. */
const transcriptOf = ({ restarted, run, settings }: Subject, empty: Empty, nodes = 1) =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const given = { ...(yield* empty), ...(yield* startShop) }
    const start = ({ environment, workers }: Settings) =>
      Effect.all(
        Arr.makeBy(nodes, () => startService(folder, { ...environment, ...given, WORKERS: String(workers / nodes) })),
        { concurrency: "unbounded" }
      ).pipe(Effect.tap(meeting))
    const first = yield* start(settings)
    const { caller, moveTo, transcript } = makeCaller(urlsOf(first))
    yield* Effect.scoped(run(caller))
    if (restarted !== undefined) {
      for (const { child } of first) child.kill("SIGTERM")
      for (const { exited } of first) assert.strictEqual(yield* exited, 0)
      moveTo(urlsOf(yield* start(restarted.settings)))
      yield* Effect.scoped(restarted.run(caller))
    }
    return transcript()
  }).pipe(Effect.scoped)

const onSqlite = new Map(
  subjects.map((subject) => [subject.title, Effect.runSync(Effect.cached(transcriptOf(subject, Effect.succeed({}))))])
)

/** Every subject: what is asserted in it holds, and each answer is to the letter that of a service on SQLite. */
const answersAsSqlite = (name: string, isThere: boolean, makeEmpty: () => Empty, nodes = 1) =>
  describe.skipIf(!isThere)(name, () => {
    const empty = makeEmpty()
    for (const subject of subjects) {
      it.live(subject.title, () =>
        Effect.gen(function* () {
          const expected = yield* onSqlite.get(subject.title) ?? Effect.dieMessage("no such subject")
          const actual = yield* transcriptOf(subject, empty, nodes)
          if (nodes === 1) assert.strictEqual(actual, expected)
          else assert.strictEqual(ofNodes(actual), ofNodes(expected))
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
  answersAsSqlite(
    `two nodes on PostgreSQL with pg-boss${unlessPostgres}`,
    hasPostgres,
    () => Effect.map(postgresSchemas(), (url) => ({ DATABASE_URL: url, QUEUE: "pg-boss" })),
    2
  )
})
