import { Array as Arr, type MetricPair, MetricState, Option, Order } from "effect"

/** The text format of Prometheus, version 0.0.4. */
export const contentType = "text/plain; version=0.0.4; charset=utf-8"

const number = (value: number | bigint) =>
  value === Number.POSITIVE_INFINITY ? "+Inf" : value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)

const escapeHelp = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"')

type Labels = ReadonlyArray<{ readonly key: string; readonly value: string }>

const sample = (name: string, labels: Labels, value: number | bigint) => {
  const pairs = labels.map(({ key, value }) => `${key}="${escapeLabel(value)}"`)
  return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${number(value)}`
}

/** The type of a metric, and the lines of one of its series; none for frequencies and summaries. */
const seriesOf = ({ metricKey: { name, tags }, metricState: state }: MetricPair.MetricPair.Untyped) => {
  const labels = Arr.sortWith(tags, ({ key }) => key, Order.string)
  if (MetricState.isCounterState(state)) return { type: "counter", lines: [sample(name, labels, state.count)] }
  if (MetricState.isGaugeState(state)) return { type: "gauge", lines: [sample(name, labels, state.value)] }
  if (!MetricState.isHistogramState(state)) return undefined
  const bucket = (boundary: number, count: number) =>
    sample(`${name}_bucket`, [...labels, { key: "le", value: number(boundary) }], count)
  return {
    type: "histogram",
    lines: [
      ...state.buckets
        .filter(([boundary]) => Number.isFinite(boundary))
        .map(([boundary, count]) => bucket(boundary, count)),
      bucket(Number.POSITIVE_INFINITY, state.count),
      sample(`${name}_sum`, labels, state.sum),
      sample(`${name}_count`, labels, state.count)
    ]
  }
}

/** Metrics of the Effect registry as Prometheus reads them, each once with its help and type, by name. */
export const render = (pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>): string => {
  const families = new Map<string, Array<string>>()
  for (const pair of pairs) {
    const series = seriesOf(pair)
    if (series === undefined) continue
    const { description, name } = pair.metricKey
    const help = Option.match(description, {
      onNone: () => [],
      onSome: (text) => [`# HELP ${name} ${escapeHelp(text)}`]
    })
    const lines = families.get(name) ?? [...help, `# TYPE ${name} ${series.type}`]
    families.set(name, lines)
    lines.push(...series.lines)
  }
  return Array.from(families.keys())
    .sort()
    .flatMap((name) => families.get(name) ?? [])
    .map((line) => `${line}\n`)
    .join("")
}
