/** Of the whole system, or not to be added: the same on each node. */
const once = /^(?:#|orders_(?:by_status|oldest_due_seconds|pending_limit|ready|breaker_open)\b)/

/** The metrics of several nodes as one that scrapes them adds them up, in the order of the first of them. */
export const summedMetrics = ([first = "", ...others]: ReadonlyArray<string>) => {
  const valuesOf = (text: string) =>
    new Map(text.split("\n").map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]))
  const values = others.map(valuesOf)
  return first
    .split("\n")
    .map((line) => {
      if (line === "" || once.test(line)) return line
      const series = line.slice(0, line.lastIndexOf(" "))
      const sum = values.reduce((sum, of) => sum + (of.get(series) ?? 0), Number(line.split(" ").at(-1)))
      return `${series} ${sum}`
    })
    .join("\n")
}
