import * as Http from "node:http"

/** Sends so many orders a second for so many seconds, whatever the answers take. */
const [url = "", given = "1", seconds = "1", first = "1"] = process.argv.slice(2)
const perSecond = Number(given)
const total = perSecond * Number(seconds)
const agent = new Http.Agent({ keepAlive: true, maxSockets: 256 })
const startedAt = performance.now()
let sent = 0
let answered = 0
let errors = 0

const answer = (isGood: boolean) => {
  answered += 1
  if (!isGood) errors += 1
  if (answered === total) {
    process.stdout.write(`RESULT ${JSON.stringify({ requests: total, errors })}\n`, () => process.exit(0))
  }
}

const send = () => {
  sent += 1
  const order_id = Number(first) + sent
  const body = JSON.stringify({ order_id, user_id: 1 + (order_id % 1000), item_ids: [1, 2, 3], total_amount: 250.7 })
  Http.request(`${url}/api/order`, {
    agent,
    method: "POST",
    headers: { "content-type": "application/json", "content-length": body.length }
  })
    .on("response", (response) => {
      response.resume()
      answer(response.statusCode === 202)
    })
    .on("error", () => answer(false))
    .end(body)
}

const timer = setInterval(() => {
  const due = Math.min(total, Math.floor(((performance.now() - startedAt) * perSecond) / 1000))
  while (sent < due) send()
  if (sent === total) clearInterval(timer)
}, 1)
