import * as Fs from "node:fs"
import type * as Net from "node:net"
import { Effect, Runtime } from "effect"
import { makeLogLimit } from "../LogLimit.ts"

const most = 10_000

/** How many files the process may have open, where the system says so in the way of Linux. */
const openFiles = () => {
  try {
    return Number(/^Max open files +(\d+)/m.exec(Fs.readFileSync("/proc/self/limits", "utf8"))?.[1] ?? Infinity)
  } catch {
    return Infinity
  }
}

/** A quarter of the open files, 64 at least, is left for the database, the dashboard and the processor's connections. */
export const connectionsWithin = (openFiles: number) =>
  Math.min(most, Math.max(16, Math.floor(Math.min(openFiles - 64, (openFiles * 3) / 4))))

/**
 * Lets the server have as many connections as it may: the next is closed at once, as are those that the system has no
 * file left for. Both are logged, once a minute at most.
 */
export const limitConnections = Effect.fnUntraced(function* (server: Net.Server) {
  const limited = yield* makeLogLimit
  const run = Runtime.runFork(yield* Effect.runtime())
  server.maxConnections = connectionsWithin(openFiles())
  server.on("drop", () => {
    const { maxConnections } = server
    const why = maxConnections < most ? "as many as the limit of open files allows (ulimit -n)" : "as many as may be"
    run(limited("drop", Effect.logWarning(`New connections are closed at once: ${maxConnections} are open, ${why}`)))
  })
  server.on("error", (error) => {
    // One of the start is reported by whoever starts to listen.
    if (server.listening) run(limited("error", Effect.logWarning("A connection could not be accepted", error)))
  })
})
