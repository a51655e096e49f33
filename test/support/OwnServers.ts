import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
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
  /** Stops it until the end of the scope: it answers nothing, and its connections stay open. */
  readonly pause: Effect.Effect<void, never, Scope.Scope>
  /**
   * From then on the session of a service stops where it writes next, and can be ended by nobody, as one that waits for a
   * disk. Gives what ends it.
   */
  readonly stall: Effect.Effect<Effect.Effect<void>>
  /** Whether it has stopped. */
  readonly isStalled: () => Promise<boolean>
  /** Runs a statement on a connection of its own. */
  readonly query: (statement: string) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>
}

/** A kind of server: its name, with why it is not there, and how one is made. */
export interface ServerKind {
  readonly name: string
  readonly isThere: boolean
  readonly make: Effect.Effect<OwnServer, never, Scope.Scope>
}

const pause = (pids: () => ReadonlyArray<number>) => {
  const signal = (pids: ReadonlyArray<number>, name: "SIGSTOP" | "SIGCONT") => {
    for (const pid of pids) process.kill(pid, name)
  }
  return Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        const stopped = pids()
        signal(stopped, "SIGSTOP")
        return stopped
      }),
      (stopped) => Effect.sync(() => signal(stopped, "SIGCONT"))
    )
  )
}

const postgres: ServerKind = {
  name: `PostgreSQL${unlessServer}`,
  isThere: hasServer,
  make: Effect.map(Effect.flatMap(temporaryFolder, startServer), (server) => {
    const url = server.url("postgres")
    return {
      url,
      stall: Effect.promise(async () => {
        const [holder] = await queryPostgres(url, "SELECT pid FROM pg_locks WHERE classid = 1330791506 AND granted")
        const pid = Number(holder?.pid)
        process.kill(pid, "SIGSTOP")
        return Effect.sync(() => {
          process.kill(pid, "SIGCONT")
        })
      }),
      isStalled: async () => true,
      kill: server.stop("immediate"),
      pause: pause(server.pids),
      start: server.start,
      query: (statement) => queryPostgres(url, statement)
    }
  })
}

const mariaDb: ServerKind = {
  name: `MariaDB${unlessMariaDbServer}`,
  isThere: hasMariaDbServer,
  make: Effect.map(Effect.flatMap(temporaryFolder, startMariaDbServer), ({ fifo, pids, start, stop, url }) => ({
    url,
    stall: Effect.promise(async () => {
      execFileSync("mkfifo", ["-m", "644", fifo])
      await queryMariaDb(
        url,
        `CREATE TRIGGER stall BEFORE INSERT ON orders FOR EACH ROW SET @stalled = LOAD_FILE('${fifo}')`
      )
      return Effect.sync(() => {
        const end = Fs.openSync(fifo, "r+")
        Fs.rmSync(fifo)
        Fs.closeSync(end)
      })
    }),
    isStalled: async () =>
      (
        await queryMariaDb(
          url,
          "SELECT 1 FROM information_schema.processlist WHERE info LIKE '%@stalled%' AND id <> CONNECTION_ID()"
        )
      ).length > 0,
    kill: stop("SIGKILL"),
    pause: pause(pids),
    start,
    query: (statement) => queryMariaDb(url, statement)
  }))
}

export const serverKinds: ReadonlyArray<ServerKind> = [postgres, mariaDb]
