import type { Database } from "better-sqlite3"
import { loadDriver } from "../../src/store/sqlite/SqliteDriver.ts"

const Sqlite = loadDriver()

/** Uses a database file through a connection of its own. */
export const connect = <A>(file: string, use: (db: Database) => A) => {
  const db = new Sqlite(file)
  try {
    return use(db)
  } finally {
    db.close()
  }
}

/** The path of a copy of the database, as a backup of it is. */
export const vacuumed = (file: string) => {
  connect(file, (db) => db.exec(`VACUUM INTO '${file}.copy'`))
  return `${file}.copy`
}
