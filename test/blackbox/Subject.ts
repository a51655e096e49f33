import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { Caller } from "./Caller.ts"
import type { Answer } from "./Exchange.ts"

/** What the service is started with for a subject; the workers are those of all nodes together. */
export interface Settings {
  readonly workers: number
  readonly environment: Readonly<Record<string, string>>
}

/** A part of the API. Each begins with an empty database. */
export interface Subject {
  readonly title: string
  readonly settings: Settings
  readonly run: (caller: Caller) => Effect.Effect<void, never, Scope.Scope>
  /** Goes on after all nodes were ended in order and started again. */
  readonly restarted?: Pick<Subject, "settings" | "run">
}

/** Orders that are begun stay so for an hour: with `hold` all that come later stay Pending. */
export const held: Settings = {
  workers: 2,
  environment: {
    PROCESSOR: "simulated",
    PROCESSING_TIME: "1 hour",
    PROCESSING_JITTER: "0",
    ATTEMPT_TIMEOUT: "2 hours",
    SHUTDOWN_GRACE: "0 millis"
  }
}

const quickly = { PROCESSOR: "simulated", PROCESSING_TIME: "5 millis", PROCESSING_JITTER: "0", RETRY_BASE: "1 millis" }

/** Every order is Completed at its first attempt. */
export const quick: Settings = { workers: 2, environment: quickly }

/** Every order is Failed at its second attempt. */
export const failing: Settings = {
  workers: 2,
  environment: { ...quickly, PROCESSING_FAILURES: "1", MAX_ATTEMPTS: "2" }
}

export const order = (order_id: unknown, rest: object = {}) => ({
  order_id,
  user_id: 1,
  item_ids: [1, 2, 3],
  total_amount: 250.7,
  ...rest
})

export const isStatus = (status: string) => (answer: Answer) => JSON.parse(answer.text).status === status

/** Gives each worker an order to hold. */
export const hold = ({ getUntil, post }: Caller) =>
  Effect.forEach(["hold-1", "hold-2"], (id) =>
    Effect.zipRight(post("/api/order", order(id)), getUntil(`/api/order/${id}`, isStatus("Processing")))
  )

/** So that what follows has another millisecond than what was before. */
export const later = Effect.sleep("5 millis")

export const expectStatus = (status: number) => (answer: Answer) =>
  assert.strictEqual(answer.status, status, answer.text.slice(0, 1000))

/** Whether the metrics of Prometheus have that line. */
export const hasSeries = (line: string) => (answer: Answer) => answer.text.split("\n").includes(line)
