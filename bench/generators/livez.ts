import * as Http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"

/** Asks whether the service lives, 10 ms after each answer, until it is told to end: the longest wait, in milliseconds. */
const [url = ""] = process.argv.slice(2)
const agent = new Http.Agent({ keepAlive: true })
let longest = 0

const ask = () =>
  new Promise<void>((resolve, reject) => {
    Http.get(`${url}/livez`, { agent }, (response) => response.resume().on("end", resolve)).on("error", reject)
  })

const timed = async () => {
  const startedAt = performance.now()
  await ask()
  return performance.now() - startedAt
}

// The first ones find a service that has not been asked before.
for (let time = 0; time < 20; time++) await ask()
process.stdout.write("READY\n")
process.on("SIGTERM", () => {
  process.stdout.write(`RESULT ${JSON.stringify({ longest })}\n`, () => process.exit(0))
})
for (;;) {
  longest = Math.max(longest, await timed())
  await sleep(10)
}
