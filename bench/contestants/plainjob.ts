import Database from "better-sqlite3"
import { better, defineQueue, defineWorker } from "plainjob"

const [synchronous = "NORMAL", ...numbers] = process.argv.slice(2)
const [orders = 1000, seconds = 1] = numbers.map(Number)

const logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} }
const db = new Database("jobs.db")
const queue = defineQueue({ connection: better(db), logger })
// The queue sets NORMAL itself when it opens.
db.pragma(`synchronous = ${synchronous}`)

const order = { user_id: 7, item_ids: [1, 2, 3], total_amount: 250.7 }
queue.addMany(
  "order",
  Array.from({ length: orders }, (_, index) => ({ order_id: index + 1, ...order }))
)

process.on("message", () => {
  const startedAt = performance.now()
  let done = 0
  const worker = defineWorker("order", () => {}, {
    queue,
    logger,
    onCompleted: () => {
      done += 1
      const millis = performance.now() - startedAt
      if (done !== orders && millis < seconds * 1000) return
      process.send?.({ done, millis })
      void worker.stop()
    }
  })
  void worker.start()
})
process.stdout.write("Listening on http://nowhere\n")
