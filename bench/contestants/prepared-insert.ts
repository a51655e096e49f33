import { openOrders, prepareInsert } from "./OrdersTable.ts"

const perTransaction = 500
const [warmUpSeconds = 1, countedSeconds = 1] = process.argv.slice(2).map(Number)

const db = openOrders("FULL")
const insert = prepareInsert(db)
// As long as the ids of the load: an id is a text, and sorts after the one before only while they are of one length.
let next = 100_000_001

const insertFor = (seconds: number) => {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  let orders = 0
  while (performance.now() - startedAt < seconds * 1000) {
    const now = Date.now()
    db.exec("BEGIN IMMEDIATE")
    for (let index = 0; index < perTransaction; index++) {
      insert.run(String(next), String(1 + (next % 1000)), '["1","2","3"]', 2_507_000, null, null, now, now)
      next += 1
    }
    db.exec("COMMIT")
    orders += perTransaction
  }
  const { system, user } = process.cpuUsage(before)
  return { perSecond: (orders * 1000) / (performance.now() - startedAt), cpu: (user + system) / orders }
}

process.on("message", () => {
  insertFor(warmUpSeconds)
  process.send?.(insertFor(countedSeconds))
})
process.stdout.write("Listening on http://nowhere\n")
