import { eventParser, type StreamBlock } from "./EventParser.ts"
import { openStream } from "./Requests.ts"

interface ReaderListener {
  /** With the service's time then, in milliseconds since 1970; `NaN` if it was not said. */
  readonly onOpen: (serviceTime: number) => void
  /** Something came: an event, or one of the comments that are sent while there is none. */
  readonly onSign: () => void
  readonly onBlock: (block: StreamBlock) => void
  /** The stream was refused, or it ended. Not called for one that was closed. */
  readonly onEnd: () => void
}

/**
 * Reads the stream of events behind the change of that id, or from now on, with `fetch`: an `EventSource` sends no key,
 * and does not report comments, by which alone a quiet stream differs from one that is held back on the way. Returns what
 * closes the stream.
 */
export const readEvents = (after: number | undefined, { onBlock, onEnd, onOpen, onSign }: ReaderListener) => {
  const closing = new AbortController()
  const read = async () => {
    const query = after === undefined ? "" : `?after=${after}`
    const response = await openStream(`api/events${query}`, closing.signal)
    if (response.body === null) return
    onOpen(Date.parse(response.headers.get("date") ?? ""))
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    const blocksOf = eventParser()
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      onSign()
      for (const block of blocksOf(read.value)) {
        // By what came before it.
        if (closing.signal.aborted) return
        onBlock(block)
      }
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
