import { Client } from "pg"
import { familyCpuMillis, parentOf } from "./ProcessTable.ts"
import { NotHere } from "./Rounds.ts"

const serverUrl = process.env.BENCH_POSTGRES ?? "postgres://postgres@127.0.0.1:5432/postgres"

const connect = async () => {
  const client = new Client({ connectionString: serverUrl })
  try {
    await client.connect()
    return client
  } catch {
    throw new NotHere("no PostgreSQL server answers (set BENCH_POSTGRES)")
  }
}

/** A database of its own on the server at `BENCH_POSTGRES`. The CPU time is that of the whole server. */
export const createPostgres = async () => {
  const client = await connect()
  const { rows } = await client.query(`
    SELECT pg_backend_pid() AS pid, current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit`)
  const { commit, fsync, pid } = rows[0]
  if (fsync !== "on" || commit !== "on") {
    await client.end()
    throw new NotHere(`PostgreSQL runs with fsync=${fsync}, synchronous_commit=${commit}`)
  }
  const server = parentOf(Number(pid))
  const name = `orders_bench_${process.pid}_${Date.now()}`
  await client.query(`CREATE DATABASE ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return {
    url: url.href,
    cpuMillis: () => familyCpuMillis(server),
    drop: async () => {
      await client.query(`DROP DATABASE ${name} WITH (FORCE)`)
      await client.end()
    }
  }
}

export const versionOfPostgres = async () => {
  try {
    const client = await connect()
    const { rows } = await client.query("SHOW server_version")
    await client.end()
    return String(rows[0].server_version)
  } catch {
    return "none"
  }
}
