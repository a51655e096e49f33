import type { OrderEventJson } from "../api/OrderEvent.ts"
import { may } from "./Access.ts"
import type { FailuresJson } from "./ApiJson.ts"
import { readFailures, retryMany } from "./Client.ts"
import { confirm } from "./Confirm.ts"
import { byId, isBusy, setBusy, setText } from "./Dom.ts"
import { failureGroups } from "./FailureGroups.ts"
import { count, orders } from "./Format.ts"
import { holdOf } from "./Hold.ts"
import { notify } from "./Notices.ts"
import { messageOf } from "./Requests.ts"
import { Outside } from "./Text.ts"

/** Grouping a million failures takes a while: the next reading waits this long, and many times what the last one took. */
const rereadMillis = 3000
const restFactor = 20
/** Read again even without an event: one may have been missed. */
const oldMillis = 30_000

const list = byId("failures", HTMLElement)
const heading = byId("failures-heading", HTMLElement)
const none = byId("no-failures", HTMLElement)
const others = byId("other-failures", HTMLElement)
const retryAll = byId("retry-all", HTMLButtonElement)

/** Asks, retries, and returns whether orders may have changed. */
const confirmAndRetry = async (button: HTMLButtonElement, failed: number, code: string | undefined) => {
  if (isBusy(button)) return false
  const isSure = await confirm({
    title: `Retry ${orders(failed)}?`,
    text: [
      "Every order that has failed",
      ...(code === undefined ? [] : [" with “", new Outside(code), "”"]),
      " becomes Pending again, with a fresh set of attempts."
    ],
    action: "Retry these"
  })
  if (!isSure) return false
  setBusy(button, true)
  try {
    const retried = await retryMany(code)
    notify(`${orders(retried)} ${retried === 1 ? "is" : "are"} retried.`)
  } catch (error) {
    notify(messageOf(error), "failed")
  }
  setBusy(button, false)
  return true
}

const noFailures: FailuresJson = { failures: [], other: { count: 0, groups: 0 } }

/** What is said beside the groups, and the button that retries all of them. */
const showRest = ({ failures: found, other }: FailuresJson) => {
  none.hidden = found.length > 0
  others.hidden = other.count === 0
  setText(others, `${orders(other.count)} more, of ${count(other.groups)} other codes.`)
  if (found.length < 2 && document.activeElement === retryAll) heading.focus()
  retryAll.classList.toggle("unusable", found.length < 2)
}

const countOf = ({ failures: found, other }: FailuresJson) => found.reduce((sum, { count }) => sum + count, other.count)

/** What fails and why. It is read again when an order has failed, or one that had is retried. */
export const failures = () => {
  let failed: number | undefined
  let isStale = true
  let isReading = false
  let readAt = 0
  let notBefore = 0
  const isHeld = holdOf(list)
  /** After a retry the groups change, though the pointer or the focus is still on them. */
  let isRetried = false
  let shown = noFailures

  /** The count may be the same and the orders others. It is read with the next metrics, or when it has rested. */
  const refresh = () => {
    isStale = true
  }

  const retry = async (button: HTMLButtonElement, failed: number, code?: string) => {
    if (!(await confirmAndRetry(button, failed, code))) return
    isRetried = true
    refresh()
  }

  const groups = failureGroups(retry)
  retryAll.addEventListener("click", () => retry(retryAll, failed ?? countOf(shown)))

  const show = (answer: FailuresJson) => {
    if (isHeld() && !isRetried) {
      groups.fill(answer.failures)
      isStale = true
      return
    }
    isRetried = false
    shown = answer
    groups.place(answer.failures)
    showRest(answer)
  }

  const read = async () => {
    const startedAt = performance.now()
    if (isReading || !may("read") || startedAt < notBefore || !(isStale || startedAt - readAt >= oldMillis)) return
    isReading = true
    isStale = false
    try {
      show(failed === 0 ? noFailures : await readFailures())
      readAt = performance.now()
    } catch {
      // The metrics say that the service does not answer; it is tried again with them.
      isStale = true
    }
    isReading = false
    const took = performance.now() - startedAt
    notBefore = performance.now() + Math.max(rereadMillis, took * restFactor)
  }

  return {
    /** How many there are, if that is known. */
    show: (count: number | undefined) => {
      if (count !== failed) isStale = true
      failed = count
      read()
    },
    event: ({ status }: OrderEventJson) => {
      if (status === "Failed") isStale = true
    },
    refresh
  }
}
