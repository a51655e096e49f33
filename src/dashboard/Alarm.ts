import type { MetricsJson } from "./Client.ts"
import type { ConnectionState } from "./Connection.ts"
import { byId, setAttribute, setText } from "./Dom.ts"
import { count, orders, time } from "./Format.ts"

const connection = byId("connection", HTMLElement)
const lost = byId("lost", HTMLElement)
const trouble = byId("trouble", HTMLElement)
const troubleText = byId("trouble-text", HTMLElement)
const troubleCounts = byId("trouble-counts", HTMLElement)

const stateTexts = { live: "Live", polling: "Refreshing", lost: "Connection lost" }
const title = document.title

const processorTrouble = ({ breaker: { last_error_code, opened_at, state } }: MetricsJson) => {
  if (state === "closed") return ""
  const code = last_error_code === null ? "" : ` with ${last_error_code}`
  const since = opened_at === null ? "" : `, since ${time(opened_at)}`
  return `The processor fails${code}${since}. Orders wait; one is tried at times.`
}

/** What is wrong, said above all else: the connection, the processor, the service. */
export const alarm = () => {
  let state: ConnectionState | undefined
  let metrics: MetricsJson | undefined
  let reason: string | undefined

  const show = () => {
    const isLost = state?.kind === "lost"
    const processor = metrics === undefined ? "" : processorTrouble(metrics)
    const text = isLost ? "" : [reason ?? "", processor].filter((one) => one !== "").join(" ")
    // What changes each second stands beside the alert, which would be read aloud again each time.
    setText(troubleText, text)
    const fails = metrics?.breaker.failures_in_a_row ?? 0
    const wait = metrics?.orders_pending ?? 0
    setText(troubleCounts, processor === "" ? "" : `${count(fails)} failures in a row. ${orders(wait)} waiting.`)
    trouble.hidden = text === ""
    lost.hidden = !isLost
    document.body.toggleAttribute("data-stale", isLost)
    if (state?.kind === "lost") {
      const since = time(new Date(state.since).toISOString())
      setText(lost, `Connection lost. What you see is as of ${since}; trying again. ${state.why}`)
    }
    if (state !== undefined) {
      setText(connection, stateTexts[state.kind])
      setAttribute(connection, "data-state", isLost ? "bad" : text === "" ? "good" : "trouble")
    }
    const wanted = isLost || text !== "" ? `⚠ ${title}` : title
    if (document.title !== wanted) document.title = wanted
  }

  return {
    showState: (now: ConnectionState) => {
      state = now
      show()
    },
    show: (now: MetricsJson) => {
      metrics = now
      show()
    },
    showReadiness: (now: string | undefined) => {
      reason = now
      show()
    }
  }
}
