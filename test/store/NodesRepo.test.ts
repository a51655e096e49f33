import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import * as OrdersRepoPostgres from "../../src/store/postgres/OrdersRepoPostgres.ts"
import { nodesRepo } from "../support/NodesRepo.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../support/Postgres.ts"
import { insert } from "../support/RepoKit.ts"
import { changeSuite } from "./conformance/Suite.ts"

changeSuite(`OrdersRepoSql.layer of a node on PostgreSQL${unlessPostgres}`, nodesRepo(postgresSchemas()), hasPostgres)

describe.skipIf(!hasPostgres)(`A node on PostgreSQL${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  it.scopedLive("repeats a transaction in which a statement of the engine met a deadlock", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const schema = (new URL(url).searchParams.get("options") ?? "").replace(/^.*=/, "")
      const context = yield* Layer.build(OrdersRepoPostgres.layer(yield* serverBy(url)))
      const { write } = Context.get(context, OrdersRepo)
      yield* Effect.promise(() =>
        queryPostgres(
          url,
          "CREATE SEQUENCE tries",
          `CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF nextval('${schema}.tries') = 1 THEN RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01'; END IF;
              RETURN NEW;
            END $$`,
          `CREATE TRIGGER fail_once BEFORE INSERT ON pgboss_${schema}.job_common FOR EACH ROW EXECUTE FUNCTION fail_once()`
        )
      )
      const { commit, results } = yield* write([insert(1)])
      assert.deepStrictEqual(
        results.map(({ _tag }) => _tag),
        ["Inserted"]
      )
      assert.strictEqual(Option.getOrThrow(commit).totals.Pending, 1)
      const tries = yield* Effect.promise(() => queryPostgres(url, "SELECT last_value::int AS last FROM tries"))
      assert.deepStrictEqual(tries, [{ last: 2 }])
    }).pipe(Effect.provide(AppConfig.layerTest({ queue: "pg-boss" })))
  )
})
