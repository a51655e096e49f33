import { Effect } from "effect"
import type { WriterDriver } from "../server/Writer.ts"
import { Client, type ClientConfig, connectionOf } from "./MariaDbClient.ts"
import { mariaDbErrors } from "./MariaDbErrors.ts"
import { takeLock } from "./SessionLock.ts"

/**
 * The server is to notice within half a minute that this machine is gone: until then nobody else gets the lock. So a
 * session that says nothing for so long is ended, and this one says something more often than that.
 */
const silenceSeconds = 30
const pingMillis = 10_000

/** How MariaDB is written to. `name` is one that no other process has. */
export const mariaDbDriver = (config: ClientConfig, name: string): WriterDriver => ({
  open: Effect.suspend(() => {
    const client = new Client(config)
    const connection = connectionOf(client)
    return client.ready.pipe(
      Effect.zipRight(connection.execute(`SET SESSION wait_timeout = ${silenceSeconds}`, [], undefined)),
      Effect.zipRight(takeLock(connection, name)),
      Effect.map(() => {
        client.keepAlive(pingMillis)
        return {
          connection,
          begin: connection.executeRaw("BEGIN", []),
          isOpen: client.isOpen,
          abort: client.abort,
          end: client.end
        }
      }),
      Effect.onError(() => Effect.sync(() => client.abort("given up")))
    )
  }),
  commit: (connection) => Effect.asVoid(connection.executeRaw("COMMIT", [])),
  errors: mariaDbErrors
})
