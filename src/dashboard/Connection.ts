import type { OrderEventJson } from "../api/OrderEvent.ts"
import type { MetricsJson } from "./ApiJson.ts"
import { messageOf, readMetrics, readReadiness } from "./Client.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import { pollLoop } from "./PollLoop.ts"
import { steadyStream } from "./SteadyStream.ts"
import { streamWatch } from "./StreamWatch.ts"

interface ConnectionListener {
  readonly onState: (state: ConnectionState) => void
  readonly onMetrics: (metrics: MetricsJson) => void
  /** `undefined` if the service is ready. */
  readonly onReadiness: (reason: string | undefined) => void
  readonly onEvent: (event: OrderEventJson) => void
  /** Events may have been missed. */
  readonly onGap: () => void
}

/**
 * Asks for the metrics each second and listens to the events, as long as the page is seen: a browser opens six
 * connections to one host, and a stream of every hidden tab would use them up.
 */
export const connect = (listener: ConnectionListener) => {
  const watch = streamWatch(() => performance.now())
  let isLive = false
  let lost: { readonly since: number; readonly why: string } | undefined
  let answeredAt = Date.now()

  const report = () => {
    isLive = false
    if (lost !== undefined) return listener.onState({ kind: "lost", ...lost })
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
    onOpen: () => {
      listener.onGap()
      poll.run()
    },
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

  const poll = pollLoop(async () => {
    const startedAt = performance.now()
    try {
      const [metrics, reason] = await Promise.all([readMetrics(), readReadiness()])
      answeredAt = Date.now()
      // A stream from before the service was lost may be a dead one.
      if (lost !== undefined) stream.open()
      lost = undefined
      watch.counted(metrics, startedAt)
      listener.onMetrics(metrics)
      listener.onReadiness(reason)
    } catch (error) {
      lost = { since: answeredAt, why: messageOf(error) }
    }
    report()
  })

  const followVisibility = () => {
    if (document.hidden) {
      poll.stop()
      stream.close()
    } else {
      stream.open()
      poll.run()
    }
  }
  document.addEventListener("visibilitychange", followVisibility)
  followVisibility()
}
