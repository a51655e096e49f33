import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { selfSigned } from "../../support/Certificate.ts"
import { queryPostgres } from "../../support/Postgres.ts"
import { hasServer, serverPassword, startServer, unlessServer } from "../../support/PostgresServer.ts"
import { aNewOrder, failToStart, post, startService } from "../../support/ServiceProcess.ts"
import { temporaryFolder } from "../../support/TestLayers.ts"
import { until } from "../../support/Until.ts"

const settings = { PROCESSING_TIME: "20 millis", PROCESSING_JITTER: "0", SHUTDOWN_GRACE: "1 second" }

const query = (url: string, ...statements: ReadonlyArray<string>) =>
  Effect.promise(() => queryPostgres(url, ...statements))
const statusOf = (url: string) => Effect.promise(() => fetch(url).then(({ status }) => status))
const submit = (url: string, id: number) => Effect.promise(() => post(url, aNewOrder(id)).then(({ status }) => status))
const untilReady = (url: string, expected: number) =>
  Effect.gen(function* () {
    while ((yield* statusOf(`${url}/readyz`)) !== expected) yield* Effect.sleep("50 millis")
  })

/** Posts orders from several sides, each one after the other, until it is stopped, and keeps which were accepted. */
const crowd = (url: string) => {
  const accepted: Array<number> = []
  let next = 1
  let isStopped = false
  const side = async () => {
    while (!isStopped) {
      const id = next++
      const answer = await post(url, aNewOrder(id))
      await answer.text()
      if (answer.ok) accepted.push(id)
      else await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const done = Promise.all(Array.from({ length: 8 }, side))
  return {
    accepted,
    stop: Effect.promise(() => {
      isStopped = true
      return done
    })
  }
}

/** How many orders there are, and the same number as all else that can be counted has it once they are Completed. */
const counts = `
  SELECT
    count(*)::integer AS orders, count(*) FILTER (WHERE status = 'Completed')::integer AS completed,
    (SELECT completed::integer FROM totals) AS counted,
    (SELECT count(*)::integer FROM changes WHERE reason = 'accepted') AS accepted,
    (SELECT count(*)::integer FROM changes WHERE reason = 'completed') AS completions,
    (SELECT count(DISTINCT seq)::integer FROM changes WHERE reason = 'completed') AS of_orders
  FROM orders`

describe.skipIf(!hasServer)(`A PostgreSQL server of its own${unlessServer}`, () => {
  it.scopedLive("refuses the start in one line: away, a wrong password, no such database", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const server = yield* startServer(folder)
      const expectRefusal = (url: string, why: RegExp) =>
        Effect.map(failToStart(folder, { DATABASE_URL: url }), ({ code, stderr, stdout }) => {
          assert.strictEqual(code, 1)
          assert.match(stderr, why)
          assert.strictEqual(stderr.trim().split("\n").length, 1)
          for (const secret of [serverPassword, encodeURIComponent(serverPassword), "wrong-one"]) {
            assert.notInclude(stderr + stdout, secret)
          }
        })
      yield* expectRefusal(
        server.url("postgres", "wrong-one"),
        /^DATABASE_URL: postgres:\/\/127.*password authentication failed.*: correct the user or the password/
      )
      yield* expectRefusal(server.url("nowhere"), /"nowhere" does not exist: create it/)
      yield* server.stop("fast")
      yield* expectRefusal(server.url("postgres"), /ECONNREFUSED.*: start the server/)
    })
  )

  it.scopedLive(
    "is killed under load, and then ended: 503 while it is away, and all that was accepted is there, once",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const server = yield* startServer(folder)
        const file = Path.join(folder, "password")
        yield* Effect.promise(() => Fs.writeFile(file, `${serverPassword}\n`))
        const service = yield* startService(folder, {
          ...settings,
          DATABASE_URL: server.url("postgres", ""),
          DATABASE_PASSWORD_FILE: file
        })
        const load = crowd(service.url)
        const more = Effect.suspend(() => {
          const before = load.accepted.length
          return until(() => load.accepted.length > before + 50)
        })
        for (const mode of ["immediate", "fast"] as const) {
          yield* more
          yield* server.stop(mode)
          yield* untilReady(service.url, 503)
          assert.strictEqual(yield* submit(service.url, 1_000_000), 503)
          assert.strictEqual(yield* statusOf(`${service.url}/livez`), 200)
          yield* server.start
          yield* untilReady(service.url, 200)
        }
        yield* more
        yield* load.stop
        for (let isDone = false; !isDone; yield* Effect.sleep("100 millis")) {
          const [row = {}] = yield* query(server.url("postgres"), counts)
          isDone = row.orders === row.completed
          if (isDone) assert.deepStrictEqual(new Set(Object.values(row)), new Set([row.orders]))
        }
        const rows = yield* query(server.url("postgres"), "SELECT order_id FROM orders")
        const stored = new Set(rows.map(({ order_id }) => Number(order_id)))
        assert.deepStrictEqual(
          load.accepted.filter((id) => !stored.has(id)),
          []
        )
        service.child.kill("SIGTERM")
        assert.strictEqual(yield* service.exited, 0)
      })
  )

  it.scopedLive("is not written to while it takes no writes, and is again when it does", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const server = yield* startServer(folder)
      const url = server.url("postgres")
      const service = yield* startService(folder, { ...settings, DATABASE_URL: url })
      assert.strictEqual(yield* submit(service.url, 1), 202)
      yield* query(url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
      yield* untilReady(service.url, 503)
      assert.strictEqual(yield* submit(service.url, 2), 503)
      assert.strictEqual(yield* statusOf(`${service.url}/api/order/1`), 200)
      yield* query(
        url,
        "SET default_transaction_read_only = off",
        "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()"
      )
      yield* untilReady(service.url, 200)
      assert.strictEqual(yield* submit(service.url, 2), 202)
    })
  )

  it.scopedLive("goes on with a service that takes the place of one that was killed", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const server = yield* startServer(folder)
      const start = startService(folder, { ...settings, DATABASE_URL: server.url("postgres") })
      const first = yield* start
      const load = crowd(first.url)
      yield* until(() => load.accepted.length > 100)
      first.child.kill("SIGKILL")
      yield* Effect.ignore(Effect.sandbox(load.stop))
      const second = yield* start
      for (const id of load.accepted) assert.strictEqual(yield* statusOf(`${second.url}/api/order/${id}`), 200)
    })
  )

  it.scopedLive("is reached over TLS as far as sslmode says", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const certificate = yield* selfSigned
      const plain = yield* startServer(folder)
      const server = yield* startServer(yield* temporaryFolder, certificate)
      const start = (query: string, { url } = server) => startService(folder, { DATABASE_URL: url("postgres") + query })
      const refusal = (query: string, { url } = server) =>
        Effect.map(failToStart(folder, { DATABASE_URL: url("postgres") + query }), ({ stderr }) => stderr)
      const encrypted = query(
        server.url("postgres"),
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'orders %'"
      )
      for (const [mode, isEncrypted] of [
        ["disable", false],
        ["require", true],
        [`verify-ca&sslrootcert=${certificate.file}`, true],
        [`verify-full&sslrootcert=${certificate.file}`, true]
      ] as const) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const service = yield* start(`?sslmode=${mode}`)
            assert.strictEqual(yield* statusOf(`${service.url}/readyz`), 200)
            assert.deepStrictEqual(yield* encrypted, [{ ssl: isEncrypted }])
          })
        )
      }
      assert.match(yield* refusal("?sslmode=verify-full"), /^DATABASE_URL: .*certificate.*: give the certificate/)
      assert.match(yield* refusal("?sslmode=require", plain), /^DATABASE_URL: .*does not support SSL.*: /)
    })
  )
})
