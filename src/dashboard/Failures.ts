import type { OrderEventJson } from "../api/OrderEvent.ts"
import type { FailureJson, FailuresJson, MetricsJson } from "./ApiJson.ts"
import { messageOf, readFailures, retryMany } from "./Client.ts"
import { confirm } from "./Confirm.ts"
import { byId, isBusy, make, setAttribute, setBusy, setText } from "./Dom.ts"
import { count, fullTime, orders, time } from "./Format.ts"
import { holdOf } from "./Hold.ts"
import { notify } from "./Notices.ts"
import { hashOf } from "./View.ts"

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

/** Asks, and answers with whether orders may have changed. */
const retryThese = async (button: HTMLButtonElement, failed: number, code: string | undefined) => {
  if (isBusy(button)) return false
  const isSure = await confirm({
    title: `Retry ${orders(failed)}?`,
    text: `${code === undefined ? "Every order that has failed" : `Every order that has failed with “${code}”`} becomes Pending again, with a fresh set of attempts.`,
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

const makeGroup = (code: string, retried: () => void) => {
  let failed = 0
  const number = make("strong")
  const when = make("span", { class: "note" })
  const button = make("button", { type: "button", "aria-label": `Retry these: ${code}` }, "Retry these")
  button.addEventListener("click", async () => {
    if (await retryThese(button, failed, code)) retried()
  })
  const link = make("a", { href: hashOf({ status: "Failed", error_code: code }), title: code }, make("code", {}, code))
  return {
    element: make("li", {}, make("div", {}, number, link), when, button),
    fill: (group: FailureJson) => {
      failed = group.count
      setText(number, count(group.count))
      setText(when, `last ${time(group.last_at)}`)
      setAttribute(when, "title", `first ${fullTime(group.first_at)}, last ${fullTime(group.last_at)}`)
    }
  }
}

/** What fails and why. It is read again when an order has failed, or one that had is retried. */
export const failures = () => {
  const groups = new Map<string, ReturnType<typeof makeGroup>>()
  let failed: number | undefined
  let isStale = true
  let isReading = false
  let readAt = 0
  let notBefore = 0
  const isHeld = holdOf(list)
  /** After a retry what was retried goes, though the pointer or the focus is still there. */
  let isAsked = false

  const place = ({ failures: found, other }: FailuresJson) => {
    if (isHeld() && !isAsked) {
      for (const one of found) groups.get(one.error_code)?.fill(one)
      isStale = true
      return
    }
    isAsked = false
    const focused = document.activeElement
    for (const [code, group] of groups) {
      if (found.some(({ error_code }) => error_code === code)) continue
      if (group.element.contains(document.activeElement)) heading.focus()
      group.element.remove()
      groups.delete(code)
    }
    for (const [index, one] of found.entries()) {
      const group = groups.get(one.error_code) ?? makeGroup(one.error_code, retried)
      groups.set(one.error_code, group)
      group.fill(one)
      const there = list.children[index]
      if (there !== group.element) list.insertBefore(group.element, there ?? null)
    }
    // One that is moved loses the focus.
    if (focused instanceof HTMLElement && list.contains(focused)) focused.focus()
    none.hidden = found.length > 0
    others.hidden = other.count === 0
    setText(others, `${orders(other.count)} more, of ${count(other.groups)} other codes.`)
    if (found.length < 2 && document.activeElement === retryAll) heading.focus()
    retryAll.classList.toggle("unusable", found.length < 2)
  }

  const read = async () => {
    const startedAt = performance.now()
    if (isReading || startedAt < notBefore || !(isStale || startedAt - readAt >= oldMillis)) return
    isReading = true
    isStale = false
    try {
      place(failed === 0 ? noFailures : await readFailures())
      readAt = performance.now()
    } catch {
      // The metrics say that the service does not answer; it is tried again with them.
      isStale = true
    }
    isReading = false
    const took = performance.now() - startedAt
    notBefore = performance.now() + Math.max(rereadMillis, took * restFactor)
  }

  /** The count may be the same and the orders others. It is read with the next metrics, or when it has rested. */
  const refresh = () => {
    isStale = true
  }

  const retried = () => {
    isAsked = true
    refresh()
  }

  retryAll.addEventListener("click", async () => {
    if (await retryThese(retryAll, failed ?? 0, undefined)) retried()
  })

  return {
    show: (metrics: MetricsJson) => {
      if (metrics.orders_failed !== failed) isStale = true
      failed = metrics.orders_failed
      read()
    },
    event: ({ status }: OrderEventJson) => {
      if (status === "Failed") isStale = true
    },
    refresh
  }
}
