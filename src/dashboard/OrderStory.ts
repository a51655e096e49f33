import type { OrderJson } from "./ApiJson.ts"
import { make } from "./Dom.ts"
import { between, fullTime, moment } from "./Format.ts"

const step = (title: string, at: string, how: string) =>
  make(
    "li",
    {},
    make("strong", {}, title),
    make("time", { datetime: at, title: fullTime(at) }, moment(at)),
    ...(how === "" ? [] : [make("span", { class: "note" }, how)])
  )

/** The steps that an order has gone through, and the next one, as items of a list. */
export const storyOf = (order: OrderJson) => {
  const { accepted_at, attempts, finished_at, last_error, next_attempt_at, started_at, status } = order
  const steps = [step("Accepted", accepted_at, "")]
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
