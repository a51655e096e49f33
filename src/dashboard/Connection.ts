import { deadAfterSeconds, heartbeatSeconds } from "../api/Heartbeat.ts"
import type { OrderEventJson } from "../api/OrderEvent.ts"
import type { MetricsJson } from "./ApiJson.ts"
import { messageOf, readMetrics, readReadiness } from "./Client.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import { readEvents } from "./EventReader.ts"

interface ConnectionListener {
  readonly onState: (state: ConnectionState) => void
  readonly onMetrics: (metrics: MetricsJson) => void
  /** `undefined` if it is ready. */
  readonly onReadiness: (reason: string | undefined) => void
  readonly onEvent: (event: OrderEventJson) => void
  /** Events may have been missed. */
  readonly onGap: () => void
}

const pollMillis = 1000
const reopenMillis = 3000
/** The first bytes come with the answer; if they do not, they are held back. */
const firstSignMillis = 3000
/** A heartbeat that is later than this is missing. */
const silenceMillis = (heartbeatSeconds + 5) * 1000
/** Events come with the counts they change. Later ones were held back. */
const lateMillis = 3000
/** A stream that held events back is not believed in again for so long. */
const distrustMillis = 60_000

/** Judges by its signs of life whether a stream brings events when they happen. */
const makeWatch = () => {
  let openedAt = performance.now()
  let firstSignAt: number | undefined
  let signAt: number | undefined
  let eventAt = 0
  /** The counts as they were read last since the first sign, and when that reading began. */
  let known: { readonly counts: string; readonly at: number } | undefined
  /** Since when the counts are others and no event has said so. */
  let untoldSince: number | undefined
  let distrustedUntil = 0
  return {
    opened: () => {
      openedAt = performance.now()
      firstSignAt = signAt = known = untoldSince = undefined
    },
    /** Whether it is the first. */
    sign: () => {
      signAt = performance.now()
      const isFirst = firstSignAt === undefined
      firstSignAt ??= signAt
      return isFirst
    },
    event: () => {
      eventAt = performance.now()
      untoldSince = undefined
    },
    counted: (metrics: MetricsJson, at: number) => {
      if (firstSignAt === undefined || at < firstSignAt) return
      const { orders_cancelled, orders_completed, orders_failed, orders_pending, orders_processing } = metrics
      const counts = [orders_pending, orders_processing, orders_completed, orders_failed, orders_cancelled].join(" ")
      if (known !== undefined && known.counts !== counts && eventAt < known.at) untoldSince ??= performance.now()
      known = { counts, at }
    },
    judge: (): "live" | "silent" | "starting" | "dead" => {
      const now = performance.now()
      if (untoldSince !== undefined && now - untoldSince > lateMillis) distrustedUntil = now + distrustMillis
      if (now - (signAt ?? openedAt) > deadAfterSeconds * 1000) return "dead"
      if (now < distrustedUntil) return "silent"
      if (signAt === undefined) return now - openedAt > firstSignMillis ? "silent" : "starting"
      return now - signAt > silenceMillis ? "silent" : "live"
    }
  }
}

/**
 * Asks for the metrics each second and listens to the events, as long as the page is seen: a browser opens six
 * connections to one host, and a stream of every hidden tab would use them up.
 */
export const connect = (listener: ConnectionListener) => {
  const watch = makeWatch()
  let closeStream: (() => void) | undefined
  let reopening: ReturnType<typeof setTimeout> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let isPolling = false
  /** It was asked for while it was under way, and may not have seen why. */
  let wantsPoll = false
  let isLive = false
  let lost: { readonly since: number; readonly why: string } | undefined
  let answered = Date.now()

  const report = () => {
    isLive = false
    if (lost !== undefined) return listener.onState({ kind: "lost", ...lost })
    if (closeStream === undefined) return listener.onState({ kind: "polling", why: "closed" })
    const found = watch.judge()
    // What was said before stands until it is known.
    if (found === "starting") return
    isLive = found === "live"
    listener.onState(isLive ? { kind: "live" } : { kind: "polling", why: "silent" })
    if (found === "dead") open()
  }

  const close = () => {
    closeStream?.()
    closeStream = undefined
    clearTimeout(reopening)
  }

  const open = () => {
    close()
    watch.opened()
    closeStream = readEvents({
      onOpen: () => {
        listener.onGap()
        poll()
      },
      onSign: () => {
        // Changes from here on are to come as events: the present counts show whether they do.
        if (watch.sign()) poll()
        if (!isLive) report()
      },
      onEvent: (event) => {
        watch.event()
        listener.onEvent(event)
      },
      onEnd: () => {
        closeStream = undefined
        reopening = setTimeout(open, reopenMillis)
        poll()
      }
    })
  }

  const poll = async () => {
    clearTimeout(timer)
    wantsPoll = isPolling
    if (isPolling || document.hidden) return
    isPolling = true
    const startedAt = performance.now()
    try {
      const [metrics, reason] = await Promise.all([readMetrics(), readReadiness()])
      answered = Date.now()
      const wasLost = lost !== undefined
      lost = undefined
      // A stream that outlived the silence may be a dead one.
      if (wasLost) open()
      watch.counted(metrics, startedAt)
      listener.onMetrics(metrics)
      listener.onReadiness(reason)
    } catch (error) {
      lost = { since: answered, why: messageOf(error) }
    }
    isPolling = false
    report()
    timer = setTimeout(poll, wantsPoll ? 0 : Math.max(200, startedAt + pollMillis - performance.now()))
  }

  const lookAgain = () => {
    if (document.hidden) {
      clearTimeout(timer)
      close()
    } else {
      open()
      poll()
    }
  }
  document.addEventListener("visibilitychange", lookAgain)
  lookAgain()
}
