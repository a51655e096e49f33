import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/** - `probe` has one row, for finding out whether anything can be written. What is in it means nothing. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE TABLE probe (
      id            INTEGER PRIMARY KEY CHECK (id = 1),
      filler        BLOB    NOT NULL
    ) STRICT
  `
  yield* sql`INSERT INTO probe (id, filler) VALUES (1, x'')`
})
