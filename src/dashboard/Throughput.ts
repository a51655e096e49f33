import type { MetricsJson } from "./ApiJson.ts"
import { byId, setText } from "./Dom.ts"
import { rate } from "./Format.ts"
import { plotOf } from "./ThroughputPlot.ts"
import { throughputSeries } from "./ThroughputSeries.ts"

const storageKey = `orders-throughput ${location.pathname}`

const box = byId("chart", HTMLElement)
const acceptedRate = byId("accepted-rate", HTMLElement)
const rateNote = byId("rate-note", HTMLElement)
const completedRate = byId("completed-rate", HTMLElement)
const failedRate = byId("failed-rate", HTMLElement)

/** What this tab saw before it was loaded again. */
const saved = () => {
  try {
    return sessionStorage.getItem(storageKey) ?? ""
  } catch {
    // Storage can be forbidden.
    return ""
  }
}

const save = (text: string) => {
  try {
    sessionStorage.setItem(storageKey, text)
  } catch {
    // Then a reload begins anew.
  }
}

const showRates = (accepted: number, completed: number, failed: number, note: string) => {
  setText(acceptedRate, rate(accepted))
  setText(completedRate, rate(completed))
  setText(failedRate, rate(failed))
  setText(rateNote, note)
}

/** Draws the orders accepted, completed and failed per second, and says those at the pointer, or of the last minute. */
export const throughputChart = () => {
  const series = throughputSeries(saved())
  let plot: ReturnType<typeof plotOf> | undefined
  let latest: MetricsJson | undefined
  let isPointing = false

  const range = () => series.window(Date.now() / 1000)

  const ago = (at: number) => {
    const seconds = Math.round(range()[1] - at)
    if (seconds === 0) return "now"
    return seconds % 60 === 0 ? `−${seconds / 60} min` : `−${seconds} s`
  }

  const showLatest = () => {
    if (isPointing || latest === undefined) return
    const { accepted_per_second, completed_per_second, failed_per_second } = latest
    showRates(accepted_per_second, completed_per_second, failed_per_second, "/s, last minute")
  }

  const onPoint = (index: number | undefined) => {
    isPointing = index !== undefined
    if (index === undefined) return showLatest()
    const [times, accepted, completed, failed] = series.columns
    const at = times[index] ?? 0
    showRates(accepted[index] ?? 0, completed[index] ?? 0, failed[index] ?? 0, `/s, at ${ago(at)}`)
  }

  const redraw = () => {
    if (box.clientWidth === 0) return
    plot?.destroy()
    plot = plotOf(series.columns, { box, range, label: ago, onPoint })
  }

  new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box)
  redraw()
  addEventListener("pagehide", () => save(series.saved()))

  return {
    /** After a change of theme. */
    redraw,
    add: (metrics: MetricsJson) => {
      latest = metrics
      series.add(metrics, Date.now() / 1000)
      showLatest()
      plot?.setData(series.columns)
    }
  }
}
