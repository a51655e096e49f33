import type { FailuresJson, ListJson, MetricsJson, OrderJson } from "./ApiJson.ts"

/** The service answered with a problem; without a status it did not answer at all. */
export class RequestFailed extends Error {
  readonly status: number | undefined
  constructor(status: number | undefined, message: string) {
    super(message)
    this.status = status
  }
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

const readMillis = 10_000
/** A service that stands still is to be seen soon. */
const pollMillis = 4000
const sendMillis = 15_000
/** A million orders are retried in one request. */
const sendManyMillis = 120_000

const silent = "The service does not answer."
const unknownOutcome =
  "No answer came, so it is not known whether this was done. Look at the order before doing it again."

/** Where the faults are that a problem lists. */
const faultsOf = (problem: unknown): ReadonlyArray<string> => {
  const isList = typeof problem === "object" && problem !== null && "errors" in problem && Array.isArray(problem.errors)
  const faults: ReadonlyArray<unknown> = isList && Array.isArray(problem.errors) ? problem.errors : []
  return faults.flatMap((fault) =>
    typeof fault === "object" && fault !== null && "pointer" in fault && "detail" in fault
      ? [`${fault.pointer}: ${fault.detail}.`]
      : []
  )
}

const problemOf = async (response: Response) => {
  const body: unknown = await response.json().catch(() => undefined)
  const has = typeof body === "object" && body !== null && "detail" in body && typeof body.detail === "string"
  const detail = has ? String(body.detail) : `The service answered ${response.status}.`
  return new RequestFailed(response.status, [detail, ...faultsOf(body)].join(" "))
}

/** No answer in time, or none at all, is a problem without a status. */
const ask = async (path: string, init: RequestInit, millis: number, silence: string) => {
  const response = await fetch(path, { ...init, signal: AbortSignal.timeout(millis) }).catch(() => {
    throw new RequestFailed(undefined, silence)
  })
  if (!response.ok) throw await problemOf(response)
  return response
}

const read = (path: string, millis = readMillis) => ask(path, { cache: "no-store" }, millis, silent)

const send = (path: string, body?: unknown, millis = sendMillis) => {
  const json = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
  return ask(path, { method: "POST", ...(body === undefined ? {} : json) }, millis, unknownOutcome)
}

const pathOf = (id: string) => `api/order/${encodeURIComponent(id)}`

export const readMetrics = async (): Promise<MetricsJson> => (await read("api/metrics", pollMillis)).json()

/** Why the service is not ready; nothing if it is. */
export const readReadiness = async (): Promise<string | undefined> => {
  try {
    await read("readyz", pollMillis)
    return undefined
  } catch (error) {
    if (error instanceof RequestFailed && error.status !== undefined) return error.message
    throw error
  }
}

export const readOrder = async (id: string): Promise<OrderJson> => (await read(pathOf(id))).json()

/** Where orders that fit are rare a page ends before it is full; then the next part of it is asked for, for so long. */
const gatherMillis = 10_000

export const readOrders = async (filter: Readonly<Record<string, string>>, limit: number): Promise<ListJson> => {
  const until = performance.now() + gatherMillis
  const found: Array<OrderJson> = []
  let cursor: Readonly<Record<string, string>> = {}
  while (true) {
    const query = new URLSearchParams({ ...filter, limit: String(limit - found.length), ...cursor })
    const { next_cursor, orders }: ListJson = await (await read(`api/orders?${query}`)).json()
    found.push(...orders)
    if (next_cursor === undefined) return { orders: found }
    if (found.length >= limit || performance.now() >= until) return { orders: found, next_cursor }
    cursor = { cursor: next_cursor }
  }
}

export const readFailures = async (): Promise<FailuresJson> => (await read("api/failures")).json()

export const act = async (id: string, verb: "cancel" | "retry"): Promise<OrderJson> =>
  (await send(`${pathOf(id)}/${verb}`)).json()

/** All Failed orders, or those with that code. How many are retried. */
export const retryMany = async (error_code?: string): Promise<number> => {
  const { retried }: { retried: number } = await (
    await send("api/orders/retry", error_code === undefined ? {} : { error_code }, sendManyMillis)
  ).json()
  return retried
}

export const submitMany = async (orders: ReadonlyArray<object>): Promise<{ accepted: number; refused: number }> =>
  (await send("api/orders", orders)).json()
