import type { Database } from "better-sqlite3"
import { loadDriver } from "../../src/store/sqlite/SqliteDriver.ts"
import { columnsOf, type NewOrder } from "../NewOrder.ts"

export const openOrders = (synchronous: string) => {
  const Sqlite = loadDriver()
  const db = new Sqlite("orders.db")
  db.pragma("journal_mode = WAL")
  db.pragma(`synchronous = ${synchronous}`)
  return db
}

/** Into the table of the service, with all its indexes, by one prepared statement. */
export const prepareInsert = (db: Database) =>
  db.prepare(`
    INSERT INTO orders (order_id, status, user_id, item_ids, total_amount, currency, metadata, accepted_at, due_at)
    VALUES (?, 'Pending', ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (order_id) DO NOTHING`)

export const rowOf = (order: NewOrder, now: number) => [...columnsOf(order), now, now]

export const prepareCount = (db: Database) => {
  const statement = db.prepare<[], number>("SELECT count(*) FROM orders").pluck()
  return () => statement.get() ?? 0
}
