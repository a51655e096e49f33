import { Option, Stream } from "effect"

/** What stands between two empty lines of a stream of Server-Sent Events. Without data it is no event. */
export interface EventBlock {
  readonly event: string
  readonly id: string | undefined
  readonly data: string | undefined
}

const nothing: EventBlock = { event: "message", id: undefined, data: undefined }

/**
 * The complete blocks of a stream of Server-Sent Events (WHATWG HTML, 9.2.6), from its lines. One that is cut off is
 * dropped with its id. A block of comments is a block too, without anything: a sign of life.
 */
export const eventBlocks = <E, R>(lines: Stream.Stream<string, E, R>): Stream.Stream<EventBlock, E, R> =>
  Stream.suspend(() => {
    let block: EventBlock = nothing
    return Stream.filterMap(lines, (line) => {
      if (line === "") {
        const complete = block
        block = nothing
        return Option.some(complete)
      }
      const end = line.indexOf(":")
      const name = end === -1 ? line : line.slice(0, end)
      const value = end === -1 ? "" : line.slice(line[end + 1] === " " ? end + 2 : end + 1)
      if (name === "event") block = { ...block, event: value }
      else if (name === "id") block = { ...block, id: value }
      else if (name === "data") block = { ...block, data: block.data === undefined ? value : `${block.data}\n${value}` }
      return Option.none()
    })
  })
