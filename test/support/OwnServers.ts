import { Effect, type Scope } from "effect"
import { queryMariaDb } from "./MariaDb.ts"
import { hasMariaDbServer, startMariaDbServer, unlessMariaDbServer } from "./MariaDbServer.ts"
import { queryPostgres } from "./Postgres.ts"
import { hasServer, startServer, unlessServer } from "./PostgresServer.ts"
import { temporaryFolder } from "./TestLayers.ts"

/** A database server that is only there for the test. */
export interface OwnServer {
  readonly url: string
  /** Ends it at once, as a crash would. */
  readonly kill: Effect.Effect<unknown>
  readonly start: Effect.Effect<unknown>
  /** Runs a statement on a connection of its own. */
  readonly query: (statement: string) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>
}

/** A kind of server: its name, with why it is not there, and how one is made. */
export interface ServerKind {
  readonly name: string
  readonly isThere: boolean
  readonly make: Effect.Effect<OwnServer, never, Scope.Scope>
}

const postgres: ServerKind = {
  name: `PostgreSQL${unlessServer}`,
  isThere: hasServer,
  make: Effect.map(Effect.flatMap(temporaryFolder, startServer), (server) => {
    const url = server.url("postgres")
    return {
      url,
      kill: server.stop("immediate"),
      start: server.start,
      query: (statement) => queryPostgres(url, statement)
    }
  })
}

const mariaDb: ServerKind = {
  name: `MariaDB${unlessMariaDbServer}`,
  isThere: hasMariaDbServer,
  make: Effect.map(Effect.flatMap(temporaryFolder, startMariaDbServer), ({ start, stop, url }) => ({
    url,
    kill: stop("SIGKILL"),
    start,
    query: (statement) => queryMariaDb(url, statement)
  }))
}

export const serverKinds: ReadonlyArray<ServerKind> = [postgres, mariaDb]
