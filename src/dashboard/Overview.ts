import { statuses } from "../api/OrderEventJson.ts"
import { lacks, onAccess } from "./Access.ts"
import type { MetricsJson } from "./ApiJson.ts"
import { byId, make, setAttribute, setText, statusBadge } from "./Dom.ts"
import { count, duration, roughly } from "./Format.ts"
import { currentView, hashOf, onView } from "./View.ts"

const countOf = (metrics: MetricsJson) => ({
  Pending: metrics.orders_pending,
  Processing: metrics.orders_processing,
  Completed: metrics.orders_completed,
  Failed: metrics.orders_failed,
  Cancelled: metrics.orders_cancelled
})

const breakerTexts = { closed: "Closed", open: "Open", half_open: "Trying one order" }

const makeCount = (label: Node | string) => {
  const value = make("strong", {}, "–")
  const link = make("a", { class: "count" }, value, make("span", { class: "count-label" }, label))
  return { link, value }
}

const timesOf = (id: string) => {
  const cells = Array.from(byId(id, HTMLTableRowElement).querySelectorAll("td"))
  return (times: MetricsJson["queue_wait"]) => {
    for (const [index, seconds] of [times.p50, times.p95, times.p99].entries()) {
      const cell = cells[index]
      if (cell) setText(cell, seconds === 0 ? "–" : duration(seconds))
    }
  }
}

/** It has one line, so that the text of it moves nothing; the whole of it is its title too. */
const setState = (element: HTMLElement, text: string, state: "good" | "bad" | "starting") => {
  setText(element, text)
  setAttribute(element, "title", text)
  setAttribute(element, "data-state", state)
}

/** A `meter` element looks different in each browser, and cannot be styled alike. */
const meterOf = (name: string) => {
  const meter = byId(`${name}-meter`, HTMLElement)
  const fill = meter.querySelector("span")
  const text = byId(name, HTMLElement)
  meter.setAttribute("role", "meter")
  meter.setAttribute("aria-labelledby", `${name}-label`)
  return (value: number, max: number) => {
    setAttribute(meter, "aria-valuemax", String(max))
    setAttribute(meter, "aria-valuenow", String(Math.min(value, max)))
    if (fill !== null) fill.style.width = `${Math.min(100, (100 * value) / max)}%`
    setText(text, `${roughly(value)} of ${roughly(max)}`)
  }
}

/** The counts, which are the filters of the list too, and how loaded and how well the service is. */
export const overview = () => {
  const box = byId("counts", HTMLElement)
  const all = makeCount("All orders")
  const counts = statuses.map((status) => {
    const badge = statusBadge()
    badge.show(status)
    return { status, ...makeCount(badge.element) }
  })
  box.append(all.link, ...counts.map(({ link }) => link))

  const relink = () => {
    const { error_code, q, status } = currentView()
    for (const one of [{ status: undefined, link: all.link }, ...counts]) {
      const { order } = currentView()
      // Without the list it leads nowhere.
      if (lacks("read")) one.link.removeAttribute("href")
      else one.link.href = hashOf({ ...(one.status && { status: one.status }), ...(order && { order }) })
      const isAll = one.status !== undefined || (q === undefined && error_code === undefined)
      if (one.status === status && isAll) one.link.setAttribute("aria-current", "true")
      else one.link.removeAttribute("aria-current")
    }
  }
  onView(relink)
  onAccess(relink)

  const showBacklog = meterOf("backlog")
  const showWorkers = meterOf("workers")
  const showWaits = timesOf("queue-wait")
  const showTimes = timesOf("processing-time")
  const breaker = byId("breaker", HTMLElement)
  const backlog = byId("backlog-meter", HTMLElement)
  const ready = byId("ready", HTMLElement)
  const oldest = byId("oldest", HTMLElement)
  const refused = byId("refused", HTMLElement)
  const failed = byId("failed", HTMLElement)

  const showBreaker = ({ failures_in_a_row, next_probe_at, state }: MetricsJson["breaker"]) => {
    const probe = next_probe_at === null ? 0 : Math.max(0, (Date.parse(next_probe_at) - Date.now()) / 1000)
    const failing = failures_in_a_row > 0 ? `, ${count(failures_in_a_row)} failed in a row` : ""
    const next = state === "open" && probe > 0 ? `, next try in ${Math.ceil(probe)} s` : ""
    setState(breaker, `${breakerTexts[state]}${next || failing}`, state === "closed" ? "good" : "bad")
  }

  return {
    show: (metrics: MetricsJson) => {
      setText(all.value, count(metrics.total_orders))
      const now = countOf(metrics)
      for (const { status, value } of counts) setText(value, count(now[status]))
      showBacklog(metrics.orders_pending, metrics.orders_pending_limit)
      backlog.toggleAttribute("data-full", metrics.orders_pending >= metrics.orders_pending_limit)
      setText(oldest, metrics.oldest_due_seconds === 0 ? "None is due" : `${duration(metrics.oldest_due_seconds)}`)
      setText(refused, `${count(metrics.orders_refused_last_minute)} in the last minute`)
      const { failed: bad, finished } = metrics.last_finished
      setText(failed, finished === 0 ? "None has finished" : `${count(bad)} of the last ${count(finished)}`)
      showWorkers(metrics.workers_busy, metrics.workers)
      showWaits(metrics.queue_wait)
      showTimes(metrics.processing_time)
      showBreaker(metrics.breaker)
    },
    /** Without an answer nobody knows. */
    showLost: () => {
      for (const state of [ready, breaker]) setState(state, "Unknown", "starting")
    },
    showReadiness: (reason: string | undefined) => {
      const text = reason === undefined ? "Yes" : reason.replace(/^Not ready: (.)/, (_all, first) => `No: ${first}`)
      setState(ready, text, reason === undefined ? "good" : "bad")
    }
  }
}
