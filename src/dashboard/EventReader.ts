import type { OrderEventJson } from "../api/OrderEvent.ts"
import { eventParser } from "./EventParser.ts"
import { openStream } from "./Requests.ts"

export interface StreamListener {
  readonly onOpen: () => void
  /** Something came: an event, or one of the comments that are sent while there is none. */
  readonly onSign: () => void
  readonly onEvent: (event: OrderEventJson) => void
  /** The stream was refused, or it ended. Not called for one that was closed. */
  readonly onEnd: () => void
}

/**
 * Reads the stream of events with `fetch`: an `EventSource` sends no key, and does not report comments, by which alone a
 * quiet stream differs from one that is held back on the way. Returns what closes the stream.
 */
export const readEvents = ({ onEnd, onEvent, onOpen, onSign }: StreamListener) => {
  const closing = new AbortController()
  const read = async () => {
    const response = await openStream("api/events", closing.signal)
    if (response.body === null) return
    onOpen()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    const eventsOf = eventParser()
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      onSign()
      for (const event of eventsOf(read.value)) onEvent(event)
    }
  }
  read()
    .catch(() => {
      // The reason does not matter: the stream is opened again, and the metrics show whether the service answers.
    })
    .finally(() => {
      if (!closing.signal.aborted) onEnd()
    })
  return () => closing.abort()
}
