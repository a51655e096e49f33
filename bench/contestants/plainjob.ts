import { better, defineQueue, defineWorker } from "plainjob"
import { loadDriver } from "../../src/store/sqlite/SqliteDriver.ts"
import { newOrder } from "../NewOrder.ts"

const [synchronous = "NORMAL", ...numbers] = process.argv.slice(2)
const [warmUp = 0, orders = 1000, seconds = 1] = numbers.map(Number)

const logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} }
const Database = loadDriver()
const db = new Database("jobs.db")
const queue = defineQueue({ connection: better(db), logger })
// The queue sets NORMAL itself when it opens.
db.pragma(`synchronous = ${synchronous}`)

queue.addMany(
  "order",
  Array.from({ length: orders }, (_, index) => newOrder(index + 1))
)

process.on("message", () => {
  let startedAt = performance.now()
  let done = 0
  const worker = defineWorker("order", () => {}, {
    queue,
    logger,
    onCompleted: () => {
      done += 1
      if (done === warmUp) startedAt = performance.now()
      const millis = performance.now() - startedAt
      if (done <= warmUp || (done !== orders && millis < seconds * 1000)) return
      process.send?.({ done: done - warmUp, millis })
      void worker.stop()
    }
  })
  void worker.start()
})
process.stdout.write("Listening on http://nowhere\n")
