import { isOrderEventJson } from "../api/OrderEventJson.ts"

/** The event of an order that a block of lines holds. One of another form than the API's is none. */
const eventOf = (block: string) => {
  const lines = block.split("\n")
  const data = lines.find((line) => line.startsWith("data: "))
  if (!lines.includes("event: order") || data === undefined) return undefined
  const event: unknown = JSON.parse(data.slice(6))
  return isOrderEventJson(event) ? event : undefined
}

/** Takes the text of a stream of events (WHATWG HTML, 9.2) piece by piece; returns the events that each one completes. */
export const eventParser = () => {
  let rest = ""
  return (text: string) => {
    const blocks = (rest + text).split("\n\n")
    rest = blocks.pop() ?? ""
    return blocks.map(eventOf).filter((event) => event !== undefined)
  }
}
