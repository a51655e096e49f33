import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { AppConfig } from "../../../src/AppConfig.ts"
import { Command } from "../../../src/store/Command.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { connect } from "../../support/Database.ts"
import { at, cancel, claim, completed, insert, record, write } from "../../support/RepoKit.ts"
import { config, sqlRepo } from "../../support/TestLayers.ts"

/** More than a call of a function can take as arguments. */
const many = 200_000

const addChanges = (databaseFile: string) =>
  connect(databaseFile, (db) => {
    db.exec(`
      WITH RECURSIVE ids (id) AS (SELECT 3 UNION ALL SELECT id + 1 FROM ids WHERE id < ${many})
      INSERT INTO changes (id, seq, to_status, at, run, attempt, reason)
      SELECT id, 1, 'Cancelled', 0, 0, 0, 'cancelled' FROM ids;
      UPDATE totals SET last_change = ${many}`)
  })

describe("The history of an order that is pruned", () => {
  it.scoped("goes with it, however long it is", () =>
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      yield* Effect.provide(write(insert(1), cancel(1)), sqlRepo)
      yield* Effect.sync(() => addChanges(databaseFile))
      yield* Effect.gen(function* () {
        const repo = yield* OrdersRepo
        const { results } = yield* write(Command.Prune({ before: at(5000), asOf: at(5000), limit: 100 }))
        assert.deepInclude(results[0], { _tag: "Pruned", count: 1 })
        assert.deepStrictEqual(yield* repo.historyRange, { from: many + 1, last: many })
        assert.deepStrictEqual((yield* repo.changes({}, 0, 10)).found, [])
      }).pipe(Effect.provide(sqlRepo))
    }).pipe(Effect.provide(config({})))
  )
})

describe("The history of orders that succeed at once", () => {
  it.scoped("takes at most 250 bytes an order, index included", () =>
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      const [batches, size] = [40, 50]
      yield* Effect.gen(function* () {
        for (let batch = 0; batch < batches; batch++) {
          const keys = Arr.makeBy(size, (index) => batch * size + index + 1)
          yield* write(...Arr.map(keys, (key) => insert(`order-${100_000 + key}`)))
          yield* write(...Arr.map(keys, (key) => claim(key)))
          yield* write(...Arr.map(keys, (key) => record(key, 1, completed(), 1_790_000_000_000 + key)))
        }
      }).pipe(Effect.provide(sqlRepo))
      const bytes = connect(databaseFile, (db) =>
        db.prepare("SELECT sum(pgsize) FROM dbstat WHERE name IN ('changes', 'changes_order')").pluck().get()
      )
      assert.isAtMost(Number(bytes) / (batches * size), 250)
    }).pipe(Effect.provide(config({})))
  )
})
