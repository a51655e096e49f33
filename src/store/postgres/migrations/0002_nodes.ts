import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/** A row for each node, which it alone writes. Room in a page lets the row stay in it, however often it is written. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE TABLE nodes (
      name          text    COLLATE "C" PRIMARY KEY,
      role          text    NOT NULL,
      version       text    NOT NULL,
      since         bigint  NOT NULL,
      heard_at      bigint  NOT NULL,
      figures       text    NOT NULL
    )
    WITH (fillfactor = 10)`
})
