import type { OrderEventJson } from "../api/OrderEvent.ts"

interface StreamListener {
  readonly onOpen: () => void
  /** Something came: an event, or one of the comments that are sent while there is none. */
  readonly onSign: () => void
  readonly onEvent: (event: OrderEventJson) => void
  /** It was refused, or it ended. Not called for one that was closed. */
  readonly onEnd: () => void
}

const eventOf = (block: string): OrderEventJson | undefined => {
  const lines = block.split("\n")
  const data = lines.find((line) => line.startsWith("data: "))
  return lines.includes("event: order") && data !== undefined ? JSON.parse(data.slice(6)) : undefined
}

/**
 * Reads the stream of events (WHATWG HTML, 9.2) with `fetch`: an `EventSource` keeps the comments to itself, by which
 * alone a quiet stream and one that is held back on the way can be distinguished. Answers with what closes it.
 */
export const readEvents = ({ onEnd, onEvent, onOpen, onSign }: StreamListener) => {
  const closing = new AbortController()
  const read = async () => {
    const response = await fetch("api/events", { cache: "no-store", signal: closing.signal })
    if (!response.ok || response.body === null) return
    onOpen()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let rest = ""
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      onSign()
      const blocks = (rest + read.value).split("\n\n")
      rest = blocks.pop() ?? ""
      for (const block of blocks) {
        const event = eventOf(block)
        if (event !== undefined) onEvent(event)
      }
    }
  }
  read()
    .catch(() => {
      // What ended it does not matter: it is opened again, and the metrics say whether the service answers.
    })
    .finally(() => {
      if (!closing.signal.aborted) onEnd()
    })
  return () => closing.abort()
}
