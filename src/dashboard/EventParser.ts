import type { OrderEventJson } from "../api/OrderEvent.ts"
import { isOrderEventJson } from "../api/OrderEventJson.ts"

/** What a block of lines says. */
export interface StreamBlock {
  /** The id of the change up to which all is known then. */
  readonly place: number | undefined
  /** One of another form than the API's is none. */
  readonly event: OrderEventJson | undefined
  /** Some changes behind the place that was asked for are not kept. */
  readonly isReset: boolean
}

const idPattern = /^id: (\d+)$/

const eventOf = (data: string) => {
  const event: unknown = JSON.parse(data)
  return isOrderEventJson(event) ? event : undefined
}

const blockOf = (block: string): StreamBlock => {
  const lines = block.split("\n")
  const data = lines.find((line) => line.startsWith("data: "))
  const [id] = lines.flatMap((line) => idPattern.exec(line)?.[1] ?? [])
  return {
    place: id === undefined ? undefined : Number(id),
    event: data !== undefined && lines.includes("event: order") ? eventOf(data.slice(6)) : undefined,
    isReset: lines.includes("event: reset")
  }
}

/** Takes the text of a stream of events (WHATWG HTML, 9.2) piece by piece; returns the blocks that each one completes. */
export const eventParser = () => {
  let rest = ""
  return (text: string) => {
    const blocks = (rest + text).split("\n\n")
    rest = blocks.pop() ?? ""
    return blocks.map(blockOf)
  }
}
