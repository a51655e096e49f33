import type { OrderEventJson } from "../api/OrderEvent.ts"
import { knownCaller, may, onAccess, whyAsked } from "./Access.ts"
import type { MetricsJson } from "./ApiJson.ts"
import { readAccess, readMetrics, readReadiness } from "./Client.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import { pollLoop } from "./PollLoop.ts"
import { messageOf, NotPermitted, RequestFailed } from "./Requests.ts"
import { steadyStream } from "./SteadyStream.ts"
import { streamWatch } from "./StreamWatch.ts"

interface ConnectionListener {
  readonly onState: (state: ConnectionState) => void
  /** `undefined` if the key is not good for them. */
  readonly onMetrics: (metrics: MetricsJson | undefined) => void
  /** `undefined` if the service is ready. */
  readonly onReadiness: (reason: string | undefined) => void
  readonly onEvent: (event: OrderEventJson) => void
  /** Events may have been missed. */
  readonly onGap: () => void
}

const isLimit = (error: unknown) => error instanceof RequestFailed && error.status === 429

/**
 * Asks for the metrics each second and listens to the events, as long as the page is seen: a browser opens six
 * connections to one host, and a stream of every hidden tab would use them up. While a key is asked for it does neither.
 */
export const connect = (listener: ConnectionListener) => {
  const watch = streamWatch(() => performance.now())
  let isLive = false
  let lost: { readonly since: number; readonly why: string; readonly isLimit: boolean } | undefined
  let answeredAt = Date.now()

  const report = () => {
    isLive = false
    const asked = whyAsked()
    if (asked !== undefined) return listener.onState({ kind: "asking", since: answeredAt, why: asked })
    if (lost !== undefined) return listener.onState({ kind: "lost", ...lost })
    if (!may("read")) return listener.onState({ kind: "polling", why: "scope" })
    if (!stream.isOpen()) return listener.onState({ kind: "polling", why: "closed" })
    const judgement = watch.judge()
    // Until it is known, the state reported last stays.
    if (judgement === "starting") return
    isLive = judgement === "live"
    listener.onState(isLive ? { kind: "live" } : { kind: "polling", why: "silent" })
    if (judgement === "dead") stream.open()
  }

  const stream = steadyStream({
    onRequest: watch.opened,
    onOpen: () => poll.run(),
    onGap: listener.onGap,
    onSign: () => {
      // Changes from here on must come as events: with the present counts it shows whether they do.
      if (watch.sign()) poll.run()
      if (!isLive) report()
    },
    onEvent: (event) => {
      watch.event()
      listener.onEvent(event)
    },
    onEnd: () => poll.run()
  })

  const openStream = () => {
    if (may("read") && !document.hidden) stream.open()
    else stream.close()
  }

  const ask = async () => {
    const startedAt = performance.now()
    if (knownCaller() === undefined) await readAccess()
    const [metrics, reason] = await Promise.all([readMetrics(), readReadiness()])
    answeredAt = Date.now()
    // A stream from before the service was lost may be a dead one.
    if (lost !== undefined) openStream()
    lost = undefined
    if (metrics !== undefined) watch.counted(metrics, startedAt)
    listener.onMetrics(metrics)
    listener.onReadiness(reason)
  }

  const poll = pollLoop(async () => {
    if (whyAsked() === undefined) {
      await ask().catch((error) => {
        // It is asked for, or left out from now on.
        if (error instanceof NotPermitted) return
        lost = { since: answeredAt, why: messageOf(error), isLimit: isLimit(error) }
      })
    }
    report()
  })

  const followVisibility = () => {
    openStream()
    if (document.hidden) poll.stop()
    else poll.run()
  }
  document.addEventListener("visibilitychange", followVisibility)
  onAccess(followVisibility)
}
