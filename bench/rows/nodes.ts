import { setTimeout as sleep } from "node:timers/promises"
import { idleMillis, postOrders } from "../Load.ts"
import { newOrder } from "../NewOrder.ts"
import { type NodesContestant, oursOnNodes, plainBatches, plainPgBoss, type RunningNodes } from "../Nodes.ts"
import { type Figures, interleave, type Line } from "../Rounds.ts"
import { rounds, scale } from "../Settings.ts"
import { until } from "../Until.ts"

const warmUpSeconds = Math.max(1, Math.round(12 * scale))
const countedSeconds = Math.max(1, Math.round(5 * scale))
const connectionsPerNode = 64

const total = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0)

const untilCompleted = async ({ counts }: RunningNodes) => {
  let done = 0
  await until("every order is Completed", 120, async () => {
    const { accepted, completed } = await counts()
    done = completed
    return completed === accepted
  })
  return done
}

/** To all nodes at once, until so many seconds are over. */
const postToAll = ({ urls }: RunningNodes, seconds: number) =>
  Promise.all(urls.map((url) => postOrders(url, connectionsPerNode, seconds)))

const answered = (loads: Awaited<ReturnType<typeof postToAll>>) => total(loads.map(({ requests }) => requests))

/** By the database itself: every order that was answered is there and Completed, and within moments no job is left. */
const check = async ({ name, table }: NodesContestant, { query }: RunningNodes, least: number) => {
  const [found] = await query(`
    SELECT count(*)::int AS stored, (count(*) FILTER (WHERE status = 'Completed'))::int AS completed FROM ${table}`)
  const [stored, completed] = [Number(found?.stored), Number(found?.completed)]
  if (stored < least || completed !== stored) {
    throw new Error(`${name}: ${least} orders were answered, ${stored} are stored, ${completed} Completed`)
  }
  // The worker of pg-boss ends the jobs of a batch behind it.
  await until(`${name}: no job is left`, 10, async () => {
    const [left] = await query(`
      SELECT count(*)::int AS jobs FROM pgboss.job WHERE name LIKE 'orders%' AND state < 'completed'`)
    return left?.jobs === 0
  })
}

/** Nodes that are started once and warmed up, and stand still while others are measured. */
const standing = (contestant: NodesContestant, nodes: number) => {
  let started: RunningNodes | undefined
  let accepted = 0

  const signal = (name: "SIGSTOP" | "SIGCONT") => {
    for (const { pid } of started?.programs ?? []) process.kill(pid, name)
  }

  const start = async () => {
    const running = await contestant.start(nodes)
    started = running
    accepted += answered(await postToAll(running, warmUpSeconds))
    await untilCompleted(running)
    return running
  }

  const measure = async (): Promise<Figures> => {
    signal("SIGCONT")
    const running = started ?? (await start())
    const { programs, storeCpuMillis } = running
    const cpuMillis = () => total(programs.map((program) => program.cpuMillis()))
    // What was due meanwhile is done before the clock starts.
    await sleep(500)
    const before = await untilCompleted(running)
    const [cpu, storeCpu] = [cpuMillis(), storeCpuMillis()]
    const startedAt = performance.now() + idleMillis
    const loads = await postToAll(running, countedSeconds)
    const orders = (await untilCompleted(running)) - before
    const millis = performance.now() - startedAt
    const figures = {
      perSecond: (orders * 1000) / millis,
      p50: Math.max(...loads.map(({ p50 }) => p50)),
      p99: Math.max(...loads.map(({ p99 }) => p99)),
      cpu: ((cpuMillis() - cpu) * 1000) / orders,
      storeCpu: ((storeCpuMillis() - storeCpu) * 1000) / orders,
      memory: Math.max(...programs.map((program) => program.peakMegabytes()))
    }
    accepted += answered(loads)
    await check(contestant, running, accepted)
    signal("SIGSTOP")
    return figures
  }

  const stop = async () => {
    signal("SIGCONT")
    await started?.stop()
  }
  return { measure, stop }
}

/** Single POSTs to so many nodes, each processed by a processor that does nothing. p50 and p99 are those of the slowest. */
const completedOn = async (nodes: number) => {
  // More would have more connections than a server takes by its defaults.
  const entrants = nodes === 1 ? [oursOnNodes, plainPgBoss, plainBatches] : [oursOnNodes, plainPgBoss]
  const all = entrants.map((contestant) => ({
    ...contestant,
    ...standing(contestant, nodes)
  }))
  try {
    return await interleave(`accept to Completed on ${nodes === 1 ? "1 node" : `${nodes} nodes`}`, rounds, all)
  } finally {
    for (const { stop } of all) await stop()
  }
}

const completed = async () => {
  const lines: Array<Line> = []
  for (const nodes of [1, 2, 3]) lines.push(...(await completedOn(nodes)))
  return lines
}

const headers = { "content-type": "application/json" }
const [workers, killedNodes] = [20, 3]

const measureKill = async (): Promise<Figures> => {
  const running = await oursOnNodes.start(killedNodes, { RUN_MILLIS: "2000", WORKERS: String(workers) })
  const { programs, query, stop, urls } = running
  try {
    const perNode = 4 * workers
    for (const [node, url] of urls.entries()) {
      const body = JSON.stringify(Array.from({ length: perNode }, (_, index) => newOrder(1 + node * perNode + index)))
      const answer = await fetch(`${url}/api/orders`, { method: "POST", headers, body })
      if (!answer.ok) throw new Error(`Orders were refused: ${answer.status} ${await answer.text()}`)
    }
    await until("every worker is busy", 30, async () => {
      const [found] = await query("SELECT count(*)::int AS busy FROM orders WHERE status = 'Processing'")
      return Number(found?.busy) === killedNodes * workers
    })
    const killedAt = Date.now()
    await programs.at(-1)?.kill()
    await until("every order is Completed", 60, async () => {
      const { accepted, completed } = await running.counts()
      return completed === accepted
    })
    const completedSeconds = (Date.now() - killedAt) / 1000
    await check(oursOnNodes, running, killedNodes * perNode)
    const [found] = await query(`
      SELECT count(*)::int AS lost, min(began)::bigint::float8 AS first, max(began)::bigint::float8 AS last
      FROM (
        SELECT
          (SELECT min(at) FROM changes AS next WHERE next.seq = lost.seq AND id > lost.id AND to_status = 'Processing') AS began
        FROM changes AS lost
        WHERE reason = 'lost'
      ) AS again`)
    const since = (at: unknown) => (Number(at) - killedAt) / 1000
    if (Number(found?.lost) !== workers) throw new Error(`${found?.lost} runs were lost, not ${workers}`)
    return { firstRunSeconds: since(found?.first), elsewhereSeconds: since(found?.last), completedSeconds }
  } finally {
    await stop()
  }
}

/** From the SIGKILL of one of three nodes whose workers are all busy until the orders that it ran run on the others. */
const killed = () => interleave("SIGKILL of one of 3 nodes", 1, [{ ...oursOnNodes, measure: measureKill }])

export const nodes = { "nodes/completed": completed, "nodes/killed": killed }
