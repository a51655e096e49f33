import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Schema } from "effect"
import { aNewOrder } from "./ServiceProcess.ts"

/** Longer than the service lets a caller wait. */
const patienceMillis = 15_000

/** Each time another of them. */
const inTurn = (urls: ReadonlyArray<string>) => {
  let turn = 0
  return () => urls[turn++ % urls.length] ?? ""
}

/** What a request is answered with; 0 if with nothing. */
const ask = async (url: string, init?: RequestInit) => {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(patienceMillis) })
    return { status: response.status, text: await response.text() }
  } catch {
    return { status: 0, text: "" }
  }
}

const submit = (url: string, id: number) =>
  ask(`${url}/api/order`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(aNewOrder(id))
  })

/**
 * Clients that submit orders 1, 2, 3 ... and cancel some: each does the same again, with the same id, until it is
 * acknowledged or all are stopped. Keeps what was acknowledged. Each request goes to another of the URLs.
 */
export const crashLoad = (urls: ReadonlyArray<string>, clients: number) => {
  const nextUrl = inTurn(urls)
  const accepted = new Set<number>()
  const cancelled = new Set<number>()
  const unexpected: Array<string> = []
  let refused = 0
  let unanswered = 0
  let next = 1
  let isStopped = false

  const untilAnswered = async (call: () => ReturnType<typeof ask>, expected: ReadonlyArray<number>) => {
    while (!isStopped) {
      const { status, text } = await call()
      if (expected.includes(status)) return status
      if (status === 0) unanswered += 1
      else if (status === 503) refused += 1
      else unexpected.push(`${status}: ${text}`)
      await sleep(20 + Math.random() * 30)
    }
    return 0
  }

  const client = async () => {
    while (!isStopped) {
      const id = next++
      if ((await untilAnswered(() => submit(nextUrl(), id), [200, 202])) !== 0) accepted.add(id)
      if (id % 7 === 0) {
        const cancel = () => ask(`${nextUrl()}/api/order/${id}/cancel`, { method: "POST" })
        if ((await untilAnswered(cancel, [200, 409])) === 200) cancelled.add(id)
      }
      if (id % 11 === 0) await untilAnswered(() => submit(nextUrl(), id), [200])
    }
  }
  const done = Promise.all(Array.from({ length: clients }, client))
  return {
    accepted,
    cancelled,
    /** Answers that no client should get. */
    unexpected,
    counts: () => ({ accepted: accepted.size, cancelled: cancelled.size, refused, unanswered }),
    stop: Effect.promise(() => {
      isStopped = true
      return done
    })
  }
}

const Page = Schema.parseJson(
  Schema.Struct({
    next: Schema.String,
    reset: Schema.optional(Schema.Unknown),
    changes: Schema.Array(
      Schema.Struct({
        id: Schema.Int,
        order_id: Schema.Union(Schema.Number, Schema.String),
        from: Schema.NullOr(Schema.String),
        to: Schema.String,
        run: Schema.Int,
        attempt: Schema.Int,
        reason: Schema.String
      })
    )
  })
)
const decodePage = Schema.decodeUnknownSync(Page)

export type ConsumedChange = (typeof Page.Type)["changes"][number]

/** Reads all changes, page by page, each from where the one before ended, whenever the service answers. */
export const crashConsumer = (urls: ReadonlyArray<string>) => {
  const nextUrl = inTurn(urls)
  const consumed: Array<ConsumedChange> = []
  let resets = 0
  let place = "0"
  let isStopped = false
  const read = async () => {
    while (!isStopped) {
      const { status, text } = await ask(`${nextUrl()}/api/changes?after=${place}&wait=2&limit=1000`)
      if (status !== 200) {
        await sleep(50)
        continue
      }
      const page = decodePage(text)
      if (page.reset !== undefined) resets += 1
      consumed.push(...page.changes)
      place = page.next
    }
  }
  const done = read()
  return {
    consumed,
    resets: () => resets,
    stop: Effect.promise(() => {
      isStopped = true
      return done
    })
  }
}
