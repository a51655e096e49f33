import * as Path from "node:path"
import { Client } from "pg"
import type { WorkOptions } from "pg-boss"
import { nothingLost, startOurs } from "./Contestants.ts"
import { makeFolder, removeFolder } from "./Folder.ts"
import { countsOf } from "./Load.ts"
import { createPostgres } from "./Postgres.ts"
import { dist, type Program, startProgram } from "./Program.ts"

/** Several processes on one database. */
export interface RunningNodes {
  readonly urls: ReadonlyArray<string>
  readonly programs: ReadonlyArray<Program>
  /** Of the whole server. */
  readonly storeCpuMillis: () => number
  /** How many orders were accepted in all, and how many are Completed. */
  readonly counts: () => Promise<{ readonly accepted: number; readonly completed: number }>
  readonly query: (text: string) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>
  readonly stop: () => Promise<void>
}

export interface NodesContestant {
  readonly name: string
  readonly onPowerLoss: string
  readonly isOurs: boolean
  /** Where its orders are. */
  readonly table: string
  readonly start: (nodes: number, env?: Record<string, string>) => Promise<RunningNodes>
}

const start = async (
  nodes: number,
  prepare: string,
  startNode: (folder: string, url: string) => Program,
  read: (urls: ReadonlyArray<string>) => RunningNodes["counts"]
): Promise<RunningNodes> => {
  const { cpuMillis, drop, url } = await createPostgres()
  const client = new Client({ connectionString: url })
  client.on("error", () => {})
  await client.connect()
  await client.query(prepare)
  const folders = Array.from({ length: nodes }, makeFolder)
  const programs = folders.map((folder) => startNode(folder, url))
  const urls = await Promise.all(programs.map(({ listening }) => listening))
  return {
    urls,
    programs,
    storeCpuMillis: cpuMillis,
    counts: read(urls),
    query: async (text) => (await client.query(text)).rows,
    stop: async () => {
      await Promise.all(programs.map(({ kill }) => kill()))
      await client.end()
      await drop()
      folders.forEach(removeFolder)
    }
  }
}

const sum = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0)

/** The service with its orders handed out by pg-boss: any node counts for all of them. */
export const oursOnNodes: NodesContestant = {
  name: "ours",
  onPowerLoss: nothingLost,
  isOurs: true,
  table: "orders",
  start: (nodes, env = {}) =>
    start(
      nodes,
      "SELECT 1",
      (folder, url) => startOurs(folder, { PROCESSING: "on", QUEUE: "pg-boss", ...env, DATABASE_URL: url }),
      ([url = ""]) =>
        async () => {
          const { orders_completed, total_orders } = await countsOf(url)
          return { accepted: total_orders, completed: orders_completed }
        }
    )
}

/** What `boss.work` does best with: README.md says how that was found. */
const bestWork: WorkOptions = {
  batchSize: 500,
  pollingIntervalSeconds: 0.5,
  burstWhenBatchFull: true
}

/**
 * Each order's row and its job in one transaction, and a worker that sets the row of each order as it ends, or those of a batch
 * once all have ended. Each process counts its own.
 */
const plain = (name: string, writes: "orders" | "batches"): NodesContestant => ({
  name,
  onPowerLoss: nothingLost,
  isOurs: false,
  table: "plain_orders",
  start: (nodes) =>
    start(
      nodes,
      `
        CREATE TABLE plain_orders (
          order_id      text    PRIMARY KEY,
          status        text    NOT NULL,
          user_id       text    NOT NULL,
          item_ids      text    NOT NULL,
          total_amount  bigint  NOT NULL,
          currency      text,
          metadata      text,
          accepted_at   bigint  NOT NULL,
          finished_at   bigint
        ) WITH (fillfactor = 50)`,
      (folder, url) =>
        startProgram(Path.join(dist, "plain-pgboss.js"), folder, {
          env: { POSTGRES_URL: url, WORK: process.env.BENCH_PLAIN_WORK ?? JSON.stringify(bestWork), WRITES: writes }
        }),
      (urls) => async () => {
        const all = await Promise.all(urls.map((url) => countsOf(url)))
        return {
          accepted: sum(all.map(({ total_orders }) => total_orders)),
          completed: sum(all.map(({ orders_completed }) => orders_completed))
        }
      }
    )
})

export const plainPgBoss = plain("plain pg-boss", "orders")
export const plainBatches = plain("plain pg-boss, batches written at once", "batches")
