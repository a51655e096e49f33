import { afterAll, assert } from "@effect/vitest"
import { Clock, Context, Effect, Layer } from "effect"
import * as Pg from "pg"
import { AppConfig } from "../../src/AppConfig.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import * as OrdersRepoPostgres from "../../src/store/postgres/OrdersRepoPostgres.ts"
import { serverBy } from "./Postgres.ts"

/** The server's clock, where it comes before the real one on the search path. */
const clock = `
  CREATE SCHEMA clock
  CREATE TABLE clock.shown (millis bigint NOT NULL);
  INSERT INTO clock.shown VALUES (0);
  CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT to_timestamp(millis / 1000.0) FROM clock.shown'`

/** Orders that wait and have not one job, and orders that ended and have one. */
const unmatched = (schema: string) => `
  WITH jobs AS (
    SELECT ('x' || left(replace(id::text, '-', ''), 16))::bit(64)::bigint AS seq
    FROM pgboss_${schema}.job WHERE state < 'completed')
  SELECT seq::int, status, count(jobs.seq)::int AS jobs
  FROM ${schema}.orders FULL JOIN jobs USING (seq)
  GROUP BY seq, status
  HAVING count(jobs.seq) <> CASE WHEN status = 'Pending' THEN 1 WHEN status = 'Processing' THEN least(count(jobs.seq), 1) ELSE 0 END`

/**
 * The repository of a node that is alone on its schema, whose server has the clock of the test. The engine keeps its tables
 * from test to test, as making them takes long. At the end of a test each order that waits has its job, and none that has ended.
 */
export const nodesRepo = (schemas: Effect.Effect<string>): Layer.Layer<OrdersRepo, unknown, AppConfig> => {
  let client: Pg.Client | undefined
  afterAll(() => client?.end())
  const made = Effect.runSync(
    Effect.cached(
      Effect.gen(function* () {
        const url = new URL(yield* schemas)
        const schema = (url.searchParams.get("options") ?? "").replace(/^.*=/, "")
        url.searchParams.set("options", `-c search_path=${schema},clock,pg_catalog`)
        const connection = new Pg.Client({ connectionString: url.href })
        client = connection
        yield* Effect.promise(() => connection.connect())
        const query = (statement: string) => Effect.promise(() => connection.query(statement))
        yield* query(clock)
        return { query, schema, url: url.href }
      })
    )
  )
  const shared = Layer.effect(
    AppConfig,
    Effect.map(AppConfig, (settings) => ({ ...settings, queue: "pg-boss" as const }))
  )
  return Layer.scoped(
    OrdersRepo,
    Effect.gen(function* () {
      const { query, schema, url } = yield* made
      const setClock = Effect.flatMap(Clock.currentTimeMillis, (millis) =>
        query(`UPDATE clock.shown SET millis = ${millis}`)
      )
      yield* query(
        `DROP SCHEMA ${schema} CASCADE; CREATE SCHEMA ${schema};
        DO $$ BEGIN DELETE FROM pgboss_${schema}.job; EXCEPTION WHEN undefined_table THEN END $$`
      )
      yield* setClock
      yield* Effect.addFinalizer(() =>
        Effect.map(query(unmatched(schema)), ({ rows }) => assert.deepStrictEqual(rows, []))
      )
      const context = yield* Layer.build(OrdersRepoPostgres.layer(yield* serverBy(url)))
      const repo: Context.Tag.Service<OrdersRepo> = Context.get(context, OrdersRepo)
      return { ...repo, write: (commands) => Effect.zipRight(setClock, repo.write(commands)) }
    })
  ).pipe(Layer.provide(shared))
}
