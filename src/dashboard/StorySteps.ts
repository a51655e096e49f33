import type { ChangeJson, OrderJson } from "./ApiJson.ts"
import { between, moment } from "./Format.ts"
import { Outside, type Text } from "./Text.ts"

/** One step of an order's story. */
export interface Step {
  /** The id of the change; 0 where the order itself says it. */
  readonly id: number
  readonly title: Text
  readonly at: string
  readonly note: string
  readonly error: ChangeJson["error"]
}

const step = (title: string, at: string, note = ""): Step => ({ id: 0, title, at, note, error: null })

const attemptFailed = ({ attempt }: ChangeJson) => `Attempt ${attempt} failed`

const titles: Readonly<Record<ChangeJson["reason"], (change: ChangeJson) => string>> = {
  accepted: () => "Accepted",
  claimed: ({ attempt, run }) => `Attempt ${attempt} started${run === attempt ? "" : ` (run ${run})`}`,
  completed: () => "Completed",
  failed: attemptFailed,
  retry_scheduled: attemptFailed,
  put_back: () => "Put back",
  lost: () => "Lost with the process",
  cancelled: () => "Cancelled",
  retried: () => "Retried"
}

const nextText = ({ next_attempt_at, reason }: ChangeJson) => {
  if (next_attempt_at !== null) return `next attempt at ${moment(next_attempt_at)}`
  if (reason === "failed") return "no further attempt"
  return reason === "retry_scheduled" || reason === "lost" ? "waits for its turn" : ""
}

const sinceText = ({ at, from }: ChangeJson, before: ChangeJson | undefined) => {
  if (at === before?.at) return ""
  if (from === "Processing" && before?.reason === "claimed") return `after ${between(before.at, at)}`
  return before?.reason === "accepted" ? `${between(before.at, at)} after it was accepted` : ""
}

const notes = (change: ChangeJson, before: ChangeJson | undefined) => [
  sinceText(change, before),
  change.reason === "put_back" ? `run ${change.run} does not count` : "",
  nextText(change)
]

/** The change in words. `before` is the change of the order before it, if that is known. */
const stepOf = (change: ChangeJson, before: ChangeJson | undefined): Step => {
  const title = titles[change.reason](change)
  return {
    id: change.id,
    title: change.by === null ? title : [`${title} by `, new Outside(change.by)],
    at: change.at,
    note: notes(change, before)
      .filter((note) => note !== "")
      .join(", "),
    error: change.error
  }
}

/** What the order itself says of the steps it has gone through, and of the next one. */
const stepsOfOrder = (order: OrderJson) => {
  const { accepted_at, attempts, finished_at, last_error, next_attempt_at, started_at, status } = order
  const steps = [step("Accepted", accepted_at)]
  if (last_error !== null && finished_at === null) {
    steps.push(step(`Attempt ${last_error.attempt} failed`, last_error.at, last_error.code))
  }
  if (started_at !== null) {
    const how = attempts > 1 ? `attempt ${attempts}` : `${between(accepted_at, started_at)} after it was accepted`
    steps.push(step("Started", started_at, how))
  }
  if (finished_at !== null) {
    steps.push(step(status, finished_at, started_at === null ? "" : `after ${between(started_at, finished_at)}`))
  } else if (next_attempt_at !== null) {
    const isDue = Date.parse(next_attempt_at) <= Date.now()
    steps.push(step("Next attempt", next_attempt_at, isDue ? "due, waits for its turn" : "at the earliest"))
  }
  return steps
}

/** The changes of an order, each once and oldest first; `more` may be of any order, and known already. */
export const merged = (known: ReadonlyArray<ChangeJson>, more: ReadonlyArray<ChangeJson>) => {
  const byIds = new Map([...known, ...more].map((change) => [change.id, change]))
  return [...byIds.values()].sort((one, other) => one.id - other.id)
}

/** The last `limit` changes of the order in words, and where it began; or what the order itself says, if there is none. */
export const storyOf = (order: OrderJson, changes: ReadonlyArray<ChangeJson>, limit: number): ReadonlyArray<Step> => {
  const [first] = changes
  if (first === undefined) return stepsOfOrder(order)
  const from = Math.max(0, changes.length - limit)
  const shown = changes.slice(from).map((change, index) => stepOf(change, changes[from + index - 1]))
  if (from > 0 || first.reason === "accepted") return shown
  return [step("Accepted", order.accepted_at, "what came next is not kept"), ...shown]
}
