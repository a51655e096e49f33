import autocannon from "autocannon"
import { newOrder } from "../NewOrder.ts"

/** Takes what `wrk` with its script takes, and prints the same. */
const [url = "", connections = "1", seconds = "1", mode, path = "/", first = "1", last = "1"] = process.argv.slice(2)
const [low, high] = [Number(first), Number(last)]
let next = low

const one = () => {
  next += 1
  return newOrder(next)
}
const body = () => JSON.stringify(high === 1 ? one() : Array.from({ length: high }, one))

const result = await autocannon({
  url,
  connections: Number(connections),
  duration: Number(seconds),
  headers: { "content-type": "application/json", ...JSON.parse(process.env.HEADERS ?? "{}") },
  requests: [
    {
      setupRequest: (request) =>
        mode === "get"
          ? {
              ...request,
              method: "GET" as const,
              path: path.replace("%d", String(low + Math.floor(Math.random() * (high - low + 1))))
            }
          : { ...request, method: "POST" as const, path, body: body() }
    }
  ]
})
const { errors, latency, non2xx, requests, duration, timeouts } = result
process.stdout.write(
  `RESULT ${JSON.stringify({
    requests: requests.total,
    seconds: duration,
    p50: latency.p50,
    p99: latency.p99,
    errors: errors + timeouts + non2xx
  })}\n`
)
