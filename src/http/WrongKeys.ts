import { Effect, Runtime } from "effect"
import { TokenBucket } from "../access/TokenBucket.ts"
import { TooManyRequests, Unauthorized } from "../api/Problems.ts"
import { makeLogLimit } from "../LogLimit.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { clientOf } from "./ClientAddress.ts"

/** Wrong keys of one client that are answered 401, in a window of time. */
const [quota, windowSeconds] = [10, 60]
/** Clients that are remembered; beyond them the one that came first is forgotten. */
const maxClients = 10_000

/**
 * The refusal of a wrong key: 401, and 429 for a client that tries one after the other, which is logged too. Right keys
 * from the same address are not held up by it, for behind a proxy all clients have one.
 */
export const makeWrongKeys = Effect.gen(function* () {
  const now = yield* monotonicMillis
  const limited = yield* makeLogLimit
  const run = Runtime.runFork(yield* Effect.runtime())
  const clients = new Map<string, TokenBucket>()
  return (address: string) => {
    const client = clientOf(address)
    const bucket = clients.get(client) ?? new TokenBucket(quota, windowSeconds, now)
    clients.set(client, bucket)
    if (clients.size > maxClients) {
      const [oldest = ""] = clients.keys()
      clients.delete(oldest)
    }
    if (bucket.take(1) === 1) return new Unauthorized({ reason: "unknown" })
    run(limited("wrong keys", Effect.logWarning(`Wrong keys come one after the other from ${client}`)))
    const seconds = bucket.secondsUntil(1)
    return new TooManyRequests({
      detail: `Too many wrong keys came from this address. Send a right one, or wait ${seconds} seconds.`,
      retry_after: seconds
    })
  }
})
