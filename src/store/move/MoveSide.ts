import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Effect } from "effect"
import type { StartupError } from "../../StartupError.ts"
import type { Dialect } from "../sql/Dialect.ts"

/** A stopped database, locked for as long as its scope lasts. All statements run on one connection, in one transaction. */
export interface MoveSide {
  readonly shown: string
  readonly sql: SqlClient.SqlClient
  readonly rows: Dialect["rows"]
  /** The key that the next order would get. */
  readonly nextKey: Effect.Effect<number, SqlError>
}

/** An empty database that is filled. Unless `commit` has succeeded, nobody finds anything in it. */
export interface MoveTarget extends MoveSide {
  /** The columns that the database makes out of others, such as `orders.error_code`. */
  readonly generated: ReadonlyArray<string>
  /** What an INSERT says behind its columns, so that rows get the keys that they have. */
  readonly keepingKeys: string
  /** Before the rows: the next order will get that key. */
  readonly begin: (nextKey: number) => Effect.Effect<void, SqlError>
  /** After the rows, before they are compared. */
  readonly end: Effect.Effect<void, SqlError>
  /** Makes all of it last. */
  readonly commit: Effect.Effect<void, SqlError | StartupError>
}
