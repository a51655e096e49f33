import * as Http from "node:http"
import { postOrder } from "../PostOrder.ts"

/** Sends so many orders a second for so many seconds, whatever the answers take. */
const [url = "", given = "1", seconds = "1", first = "1"] = process.argv.slice(2)
const perSecond = Number(given)
const total = perSecond * Number(seconds)
const agent = new Http.Agent({ keepAlive: true, maxSockets: 256 })
const startedAt = performance.now()
let sent = 0
let answered = 0
let errors = 0

const send = async () => {
  sent += 1
  const isAccepted = await postOrder(url, agent, Number(first) + sent)
  answered += 1
  if (!isAccepted) errors += 1
  if (answered === total) {
    process.stdout.write(`RESULT ${JSON.stringify({ requests: total, errors })}\n`, () => process.exit(0))
  }
}

const timer = setInterval(() => {
  const due = Math.min(total, Math.floor(((performance.now() - startedAt) * perSecond) / 1000))
  while (sent < due) void send()
  if (sent === total) clearInterval(timer)
}, 1)
