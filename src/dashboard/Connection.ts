import type { Status } from "../Order.ts"
import { type MetricsJson, messageOf, readMetrics, readReadiness } from "./Client.ts"

export interface OrderEvent {
  readonly order_id: number | string
  readonly status: Status
  readonly at: string
  readonly attempts: number
}

export type ConnectionState =
  | { readonly kind: "live" }
  /** The service answers, but no stream of events is open: lists are read again and again. */
  | { readonly kind: "polling" }
  | { readonly kind: "lost"; readonly since: number; readonly why: string }

interface Listener {
  readonly onState: (state: ConnectionState) => void
  readonly onMetrics: (metrics: MetricsJson) => void
  /** `undefined` if it is ready. */
  readonly onReadiness: (reason: string | undefined) => void
  readonly onEvent: (event: OrderEvent) => void
  /** Events may have been missed. */
  readonly onGap: () => void
}

const pollMillis = 1000
const reopenMillis = 3000

/**
 * Asks for the metrics each second and listens to the events, as long as the page is seen: a browser opens six
 * connections to one host, and a stream of every hidden tab would use them up.
 */
export const connect = (listener: Listener) => {
  let stream: EventSource | undefined
  let reopening: ReturnType<typeof setTimeout> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let isPolling = false
  let lost: { readonly since: number; readonly why: string } | undefined
  let answered = Date.now()

  const report = () => {
    if (lost !== undefined) return listener.onState({ kind: "lost", ...lost })
    listener.onState({ kind: stream?.readyState === EventSource.OPEN ? "live" : "polling" })
  }

  const close = () => {
    stream?.close()
    stream = undefined
    clearTimeout(reopening)
  }

  const open = () => {
    close()
    const source = new EventSource("api/events")
    stream = source
    source.onopen = () => {
      listener.onGap()
      poll()
    }
    source.addEventListener("order", ({ data }: MessageEvent<string>) => {
      const event: OrderEvent = JSON.parse(data)
      listener.onEvent(event)
    })
    source.onerror = () => {
      // A refusal closes it for good; a lost connection is tried again by the browser.
      if (source.readyState === EventSource.CLOSED) reopening = setTimeout(open, reopenMillis)
      poll()
    }
  }

  const poll = async () => {
    clearTimeout(timer)
    if (isPolling || document.hidden) return
    isPolling = true
    const startedAt = Date.now()
    try {
      const [metrics, reason] = await Promise.all([readMetrics(), readReadiness()])
      answered = Date.now()
      const wasLost = lost !== undefined
      lost = undefined
      // A stream that outlived the silence may be a dead one.
      if (wasLost) open()
      listener.onMetrics(metrics)
      listener.onReadiness(reason)
    } catch (error) {
      lost = { since: answered, why: messageOf(error) }
    }
    isPolling = false
    report()
    timer = setTimeout(poll, Math.max(200, startedAt + pollMillis - Date.now()))
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
