import * as Http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { newOrder } from "../NewOrder.ts"
import { percentile } from "../Rounds.ts"

/** One client after the other, on a connection of its own each, submits an order or looks at one. */
const [url = "", seconds = "1", first = "1"] = process.argv.slice(2)

const millisOf = (method: string, path: string, status: number, body = "") =>
  new Promise<number>((resolve, reject) => {
    const startedAt = performance.now()
    Http.request(`${url}${path}`, { agent: false, method, headers: { "content-length": body.length } })
      .on("response", (response) => {
        if (response.statusCode !== status) reject(new Error(`${method} ${path} was answered ${response.statusCode}`))
        response.resume().on("end", () => resolve(performance.now() - startedAt))
      })
      .on("error", reject)
      .end(body)
  })

const posts: Array<number> = []
const gets: Array<number> = []
const endsAt = performance.now() + Number(seconds) * 1000
for (let id = Number(first); performance.now() < endsAt; id++) {
  posts.push(await millisOf("POST", "/api/order", 202, JSON.stringify(newOrder(id))))
  gets.push(await millisOf("GET", `/api/order/${id}`, 200))
  await sleep(5)
}

const figuresOf = (times: ReadonlyArray<number>) => ({
  p50: percentile(times, 0.5),
  p99: percentile(times, 0.99),
  max: Math.max(...times)
})
process.stdout.write(`RESULT ${JSON.stringify({ posts: figuresOf(posts), gets: figuresOf(gets) })}\n`)
