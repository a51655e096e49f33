import * as Fs from "node:fs"
import { createConnection } from "mysql2/promise"
import { cpuMillis } from "./ProcessTable.ts"
import { NotHere } from "./Rounds.ts"

const serverUrl = process.env.BENCH_MARIADB ?? "mysql://root@127.0.0.1:3306"

const connect = async () => {
  try {
    return await createConnection(serverUrl)
  } catch {
    throw new NotHere("no MariaDB server answers (set BENCH_MARIADB)")
  }
}

const ask = async (connection: Awaited<ReturnType<typeof connect>>, sql: string) => {
  const [rows] = await connection.query({ sql, rowsAsArray: true })
  return Array.isArray(rows) && Array.isArray(rows[0]) ? rows[0].map(String) : []
}

/** A database of its own on the server at `BENCH_MARIADB`. */
export const createMariadb = async () => {
  const connection = await connect()
  const [flush, log, sync, pidFile = ""] = await ask(
    connection,
    "SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog, @@pid_file"
  )
  if (flush !== "1" || (log === "1" && sync !== "1")) {
    await connection.end()
    throw new NotHere(`MariaDB runs with innodb_flush_log_at_trx_commit=${flush}, sync_binlog=${sync}`)
  }
  const server = Number(Fs.readFileSync(pidFile, "utf8"))
  const name = `orders_bench_${process.pid}_${Date.now()}`
  await connection.query(`CREATE DATABASE ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return {
    url: url.href,
    cpuMillis: () => cpuMillis(server),
    drop: async () => {
      await connection.query(`DROP DATABASE ${name}`)
      await connection.end()
    }
  }
}

export const versionOfMariadb = async () => {
  try {
    const connection = await connect()
    const [version = ""] = await ask(connection, "SELECT version()")
    await connection.end()
    return version
  } catch {
    return "none"
  }
}
