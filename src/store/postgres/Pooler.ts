import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Predicate, Schema, type Scope } from "effect"
import type { Client } from "./PostgresDriver.ts"

/** The code of the error by which a pooler that shares sessions is refused. */
export const sharedSession = "SHARED_SESSION"

const Pids = Schema.Tuple(Schema.Struct({ pid: Schema.Int }))

const pidOf = (connection: Connection) =>
  Effect.flatMap(connection.execute("SELECT pg_backend_pid() AS pid", [], undefined), Schema.decodeUnknown(Pids)).pipe(
    Effect.map(([{ pid }]) => pid)
  )

/** The number of the session that was announced to the client at its start: a pooler announces one of its own. */
const announcedPid = (client: Client) => (Predicate.hasProperty(client, "processID") ? client.processID : undefined)

/**
 * Fails if the session is not this client's alone. A pooler that hands out sessions by the transaction (PgBouncer with
 * `pool_mode = transaction`) leaves the lock to whoever comes next, and so keeps nobody out. It gives a transaction of
 * another client the session that was just used here, or gives this one another session meanwhile.
 *
 * @param other a connection of its own, on the same way
 */
export const checkOwnSession = Effect.fnUntraced(function* (
  client: Client,
  connection: Connection,
  other: Effect.Effect<Connection, SqlError, Scope.Scope>
) {
  const pid = yield* pidOf(connection)
  if (announcedPid(client) === pid) return
  const isOwn = yield* Effect.scoped(
    Effect.gen(function* () {
      const neighbour = yield* other
      yield* neighbour.executeRaw("BEGIN", [])
      const taken = yield* pidOf(neighbour)
      const isOwn = taken !== pid && (yield* pidOf(connection)) === pid
      yield* neighbour.executeRaw("ROLLBACK", [])
      return isOwn
    })
  )
  if (isOwn) return
  const cause = Object.assign(new Error("a pooler in front of it gives sessions to several clients"), {
    code: sharedSession
  })
  return yield* new SqlError({ cause, message: "Failed to connect" })
})
