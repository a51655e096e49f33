import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import type { ServiceMetrics } from "../../src/api/Answers.ts"
import { version } from "../../src/api/Version.ts"
import { command } from "../support/CliCommand.ts"
import { hasPostgres, postgresSchemas, queryPostgres, unlessPostgres } from "../support/Postgres.ts"
import { post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

interface Listed {
  readonly name: string
  readonly alive: boolean
  readonly workers: number
}

const read = (url: string, path: string) => Effect.promise(async () => (await fetch(`${url}${path}`)).text())
const listed = (url: string) =>
  Effect.map(read(url, "/api/nodes"), (text): ReadonlyArray<Listed> => JSON.parse(text).nodes)
const metricsOf = (url: string) =>
  Effect.map(read(url, "/api/metrics"), (text): typeof ServiceMetrics.Encoded => JSON.parse(text))

describe.skipIf(!hasPostgres)(`Two nodes${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  it.scopedLive("see each other, answer for both, and show which of them is gone", () =>
    Effect.gen(function* () {
      const database = yield* schemas
      const start = (settings: Record<string, string>) =>
        Effect.flatMap(temporaryFolder, (folder) =>
          startService(folder, { QUEUE: "pg-boss", DATABASE_URL: database, PROCESSING_TIME: "10 millis", ...settings })
        )
      const one = yield* start({ WORKERS: "3" })
      const other = yield* start({ WORKERS: "5", ROLE: "worker" })
      for (const { url } of [one, other]) {
        yield* until(Effect.map(listed(url), (nodes) => nodes.filter(({ alive }) => alive).length === 2))
        assert.include(yield* metricsOf(url), { workers: 8, queue_capacity: 16 })
      }

      yield* Effect.promise(() =>
        Promise.all(
          Arr.range(1, 20).map((order_id) =>
            post(one.url, { order_id, user_id: 1, item_ids: [1], total_amount: 1 }).then((answer) => answer.text())
          )
        )
      )
      yield* until(Effect.map(metricsOf(other.url), (now) => now.orders_completed === 20))
      // What it did not take itself, it hears of within moments.
      yield* until(Effect.map(metricsOf(other.url), (now) => now.last_finished.finished === 20))
      const now = yield* metricsOf(other.url)
      assert.isAbove(now.accepted_per_second, 0)
      assert.isAbove(now.completed_per_second, 0)

      const table = (yield* command(["nodes"], { url: other.url })).stdout.trim().split("\n")
      assert.match(table[0] ?? "", /^NODE +STATE +ROLE +VERSION +SINCE +LAST HEARD +BUSY +BREAKER$/)
      const line = (role: string, workers: number) =>
        new RegExp(`^\\S+ +alive +${role} +${version} +\\S+Z +\\S+Z +\\d of ${workers} +closed$`)
      assert.match(table[1] ?? "", line("all", 3))
      assert.match(table[2] ?? "", line("worker", 5))

      const [killed] = yield* listed(other.url)
      one.child.kill("SIGKILL")
      yield* one.exited
      yield* Effect.promise(() =>
        queryPostgres(database, `UPDATE nodes SET heard_at = heard_at - 10000 WHERE name = '${killed?.name}'`)
      )
      yield* until(Effect.map(listed(other.url), ([first]) => first?.alive === false))
      assert.include(yield* metricsOf(other.url), { workers: 5 })
      const { nodes } = JSON.parse((yield* command(["nodes", "--json"], { url: other.url })).stdout)
      assert.deepInclude(nodes[0], { name: killed?.name, alive: false, workers: 3 })

      other.child.kill("SIGTERM")
      assert.strictEqual(yield* other.exited, 0)
      assert.deepStrictEqual(yield* Effect.promise(() => queryPostgres(database, "SELECT name FROM nodes")), [
        { name: killed?.name }
      ])
    })
  )
})
