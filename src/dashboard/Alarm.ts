import { lacks } from "./Access.ts"
import type { MetricsJson } from "./ApiJson.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import { byId, setAttribute, setText } from "./Dom.ts"
import { alarmsOf, type Known } from "./Health.ts"
import { partsOf } from "./Text.ts"

const connection = byId("connection", HTMLElement)
const strip = byId("strip", HTMLElement)
const alarmText = byId("alarm-text", HTMLElement)
const calm = byId("calm", HTMLElement)
const simulated = byId("simulated", HTMLElement)
const details = byId("details", HTMLElement)

const textOf = (state: ConnectionState) => {
  switch (state.kind) {
    case "live":
      return "Live"
    case "polling":
      return "Read each second"
    case "asking":
      return "Needs a key"
    case "lost":
      return state.isLimit ? "Waiting" : "Connection lost"
  }
}
const pollingTexts = {
  silent: "Events do not come through, as behind a proxy that holds them back: the page asks every second instead.",
  closed: "No stream of events is open: the page asks every second instead.",
  scope: ""
}
const title = document.title
const calmText = calm.textContent ?? ""

/** Without the metrics it is known only that the service answers. */
const textOfCalm = () => {
  if (!lacks("metrics")) return calmText
  const isBlind = lacks("read") ? "The key shows nothing here: that needs the scope read or metrics." : ""
  return isBlind || "The service is ready. How its orders fare is not for this key to know."
}

/**
 * One strip above all else says what is wrong with the connection, the service and the processor, or that nothing is.
 * It is always there and always as high, so that what it says moves nothing.
 */
export const alarm = () => {
  let known: Known = { connection: undefined, metrics: undefined, reason: undefined }

  const show = () => {
    const { connection: state, metrics } = known
    const [worst, ...others] = alarmsOf(known)
    const also = others.length === 0 ? "" : ` Also: ${others.map(({ kind }) => kind.toLowerCase()).join(", ")}.`
    setText(alarmText, worst === undefined ? "" : [`${worst.kind}. `, ...partsOf(worst.text), also])
    const polling = state?.kind === "polling" ? pollingTexts[state.why] : ""
    const text = [worst?.counts ?? "", polling].filter((text) => text !== "").join(" ")
    setText(details, text)
    setAttribute(details, "title", text)
    setAttribute(strip, "data-kind", worst?.kind ?? "calm")
    alarmText.hidden = worst === undefined
    const isSimulated = metrics?.processor === "simulated"
    simulated.hidden = worst !== undefined || !isSimulated
    setText(calm, textOfCalm())
    calm.hidden = worst !== undefined || isSimulated
    document.body.toggleAttribute("data-stale", worst?.kind === "Stale")
    const isShown = metrics !== undefined || (state !== undefined && lacks("metrics"))
    if (isShown || (worst !== undefined && state?.kind !== "asking")) document.body.removeAttribute("data-starting")
    if (state !== undefined) {
      setText(connection, textOf(state))
      const trouble = worst === undefined ? (state.kind === "live" ? "good" : "polling") : "trouble"
      setAttribute(connection, "data-state", state.kind === "lost" || state.kind === "asking" ? "bad" : trouble)
    }
    const wanted = worst === undefined ? title : `⚠ ${title}`
    if (document.title !== wanted) document.title = wanted
  }

  const learn = (more: Partial<Known>) => {
    known = { ...known, ...more }
    show()
  }

  return {
    showState: (connection: ConnectionState) => learn({ connection }),
    show: (metrics: MetricsJson | undefined) => learn({ metrics }),
    showReadiness: (reason: string | undefined) => {
      known = { ...known, reason }
      show()
    }
  }
}
