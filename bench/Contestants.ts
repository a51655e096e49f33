import * as Fs from "node:fs"
import * as Path from "node:path"
import { hashOf, randomKey } from "../src/access/ApiKey.ts"
import { formatKeyLine } from "../src/access/KeyLine.ts"
import { databaseName, emptyDatabase } from "./Databases.ts"
import { makeFolder, removeFolder } from "./Folder.ts"
import { createMariadb } from "./Mariadb.ts"
import { createPostgres } from "./Postgres.ts"
import { cpuMillis } from "./ProcessTable.ts"
import { dist, type Program, startProgram } from "./Program.ts"
import { startRedis } from "./Redis.ts"

export interface Running {
  readonly url: string
  /** What it asks for with each request, if it does. */
  readonly key?: string
  readonly program: Program
  /** CPU time of the server it stands on; NaN where there is none. */
  readonly storeCpuMillis: () => number
  readonly stop: () => Promise<void>
}

export interface Contestant {
  readonly name: string
  readonly onPowerLoss: string
  readonly isOurs?: boolean
  /** Starts it empty, in a folder of its own. */
  readonly start: (isProcessing: boolean, env?: Record<string, string>) => Promise<Running>
}

export const nothingLost = "keeps what was answered"
const lastLost = "may lose the last commits answered, stays consistent"

/** Settings of ours for every row: only what would refuse orders is set. */
const ourSettings = { MAX_PENDING: "1000000000", DATABASE_URL: `file:${databaseName}` }

export const startOurs = (folder: string, env: Record<string, string> = {}) =>
  startProgram(Path.join(dist, "ours.js"), folder, { env: { ...ourSettings, ...env } })

/** As users start it, but for the folder. */
export const startShipped = (folder: string, env: Record<string, string> = {}) =>
  startProgram(Path.join(import.meta.dirname, "../dist/main.js"), folder, { env: { ...ourSettings, ...env } })

const listening = async (
  program: Program,
  folder: string,
  store = { cpuMillis: () => Number.NaN, stop: async () => {} }
): Promise<Running> => ({
  url: await program.listening,
  program,
  storeCpuMillis: store.cpuMillis,
  stop: async () => {
    await program.kill()
    await store.stop()
    removeFolder(folder)
  }
})

/** In a folder with an empty database that has the schema of the service. */
const onOurSchema = async (name: string, args: ReadonlyArray<string> = []) => {
  const folder = await emptyDatabase()
  return listening(startProgram(Path.join(dist, `${name}.js`), folder, { args }), folder)
}

const processing = (isProcessing: boolean) => ({ PROCESSING: isProcessing ? "on" : "off" })

export const ours: Contestant = {
  name: "ours",
  onPowerLoss: nothingLost,
  isOurs: true,
  start: async (isProcessing, env) => {
    const folder = makeFolder()
    return listening(startOurs(folder, { ...processing(isProcessing), ...env }), folder)
  }
}

/** A database of its own on a server. */
interface OnServer {
  readonly url: string
  /** Of the whole server. */
  readonly cpuMillis: () => number
  readonly drop: () => Promise<void>
}

/** Started empty, in a folder of its own and on a database of its own. */
const onServer = async (create: () => Promise<OnServer>, start: (folder: string, url: string) => Program) => {
  const { cpuMillis, drop, url } = await create()
  const folder = makeFolder()
  return listening(start(folder, url), folder, { cpuMillis, stop: drop })
}

const oursOn = (database: string, create: () => Promise<OnServer>): Contestant => ({
  name: `ours on ${database}`,
  onPowerLoss: nothingLost,
  isOurs: true,
  start: (isProcessing, env) =>
    onServer(create, (folder, url) => startOurs(folder, { ...processing(isProcessing), ...env, DATABASE_URL: url }))
})

/** The service on each database that it runs on. */
export const oursByDatabase: ReadonlyArray<Contestant> = [
  { ...ours, name: "ours on SQLite" },
  oursOn("PostgreSQL", createPostgres),
  oursOn("MariaDB", createMariadb)
]

/** The same with a file of keys, of which each request has to bring one. */
export const oursWithKeys: Contestant = {
  name: "ours, with a key",
  onPowerLoss: nothingLost,
  isOurs: true,
  start: async (isProcessing) => {
    const folder = makeFolder()
    const [key, file] = [randomKey(), Path.join(folder, "keys")]
    const line = formatKeyLine({ name: "bench", scopes: ["submit", "metrics"], hash: hashOf(key) }, [])
    Fs.writeFileSync(file, line, { mode: 0o600 })
    const env = { ...processing(isProcessing), API_KEYS_FILE: file }
    return { ...(await listening(startOurs(folder, env), folder)), key }
  }
}

export const limit: Contestant = {
  name: "bare Node http + better-sqlite3, group commit",
  onPowerLoss: nothingLost,
  start: () => onOurSchema("limit")
}

export const echo: Contestant = {
  name: "bare Effect HttpApi echo",
  onPowerLoss: "stores nothing",
  start: async () => {
    const folder = makeFolder()
    return listening(startProgram(Path.join(dist, "echo.js"), folder), folder)
  }
}

const sqlite = (synchronous: string, onPowerLoss: string): Contestant => ({
  name: `Fastify + better-sqlite3, ${synchronous}`,
  onPowerLoss,
  start: () => onOurSchema("fastify-sqlite", [synchronous])
})

const bullmq = (appendfsync: string, onPowerLoss: string): Contestant => ({
  name: `Fastify + BullMQ, Redis appendfsync ${appendfsync}`,
  onPowerLoss,
  start: async (isProcessing) => {
    const folder = makeFolder()
    const redis = await startRedis(folder, appendfsync)
    const env = { ...processing(isProcessing), REDIS_PORT: String(redis.port) }
    const program = startProgram(Path.join(dist, "fastify-bullmq.js"), folder, { env })
    return listening(program, folder, { cpuMillis: () => cpuMillis(redis.pid), stop: redis.kill })
  }
})

export const pgBoss: Contestant = {
  name: "Fastify + pg-boss, PostgreSQL",
  onPowerLoss: nothingLost,
  start: (isProcessing) =>
    onServer(createPostgres, (folder, url) => {
      const env = { ...processing(isProcessing), POSTGRES_URL: url }
      return startProgram(Path.join(dist, "fastify-pgboss.js"), folder, { env })
    })
}

export const bullmqs = [bullmq("always", nothingLost), bullmq("everysec", "may lose the last second")]
export const sqlites = [sqlite("FULL", nothingLost), sqlite("NORMAL", lastLost)]

const plainjob = (synchronous: string, onPowerLoss: string) => ({
  name: `plainjob, ${synchronous}`,
  onPowerLoss,
  /** Of those orders so many are processed before the clock starts, which ends after so many seconds at the latest. */
  startWith: (warmUp: number, orders: number, seconds: number) => {
    const folder = makeFolder()
    const args = [synchronous, String(warmUp), String(orders), String(seconds)]
    return listening(startProgram(Path.join(dist, "plainjob.js"), folder, { args }), folder)
  }
})
export const plainjobs = [plainjob("NORMAL", `${lastLost} (as shipped)`), plainjob("FULL", nothingLost)]

export const preparedInsert = {
  name: "prepared insert, 500 per transaction, no HTTP",
  onPowerLoss: nothingLost,
  startWith: (warmUpSeconds: number, countedSeconds: number) =>
    onOurSchema("prepared-insert", [String(warmUpSeconds), String(countedSeconds)])
}

export const hasShipped = () => Fs.existsSync(Path.join(import.meta.dirname, "../dist/main.js"))
