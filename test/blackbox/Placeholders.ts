const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z"

/** Whose a time is, the name of a field with a time, or a cursor; in a text within JSON the quotes are escaped. */
const marks = new RegExp(
  [
    '"(?:order_id|error_code)":(?<owner>\\d+|"(?:[^"\\\\]|\\\\.)*")',
    `"(?<field>at|\\w+_at)":"(?<time>${time})"(?:,"run":\\d+,"attempt":\\d+,"reason":"(?<reason>\\w+)")?`,
    '"next_cursor":"(?<cursor>[^"]*)"'
  ].join("|"),
  "g"
)

/** Fields that show the same moment of an order, and the changes that they come from. */
const moments: Record<string, string> = {
  accepted_at: "accepted",
  started_at: "claimed",
  finished_at: "ended",
  next_attempt_at: "due",
  // That of `last_error`; a change has its reason behind its time.
  at: "ended",
  completed: "ended",
  failed: "ended",
  cancelled: "ended"
}

/** What depends on the moment at which metrics are asked for, or on how fast the machine is. */
const measured =
  /"(average_processing_time|p50|p95|p99|\w+_per_second|oldest_due_seconds|queue_depth|workers_busy)":[\d.e+-]+/g

/** The same in the format of Prometheus, and how many requests there were, of which some only look whether it is time. */
const measuredSeries =
  /^((?:http_\w+|orders_queue_depth|orders_workers_busy|\w+_seconds(?:_bucket|_sum)?)(?:\{.*\})?) \S+$/gm
/** What Node tells of its process, which comes last. */
const ofProcess = /^# HELP process_[\s\S]*/m

/**
 * Names for what differs from run to run. A time is named by the order and the moment that it belongs to and, if that order
 * had several such moments, by a number: so the same moment has one name in all answers, and two that happen to fall into the
 * same millisecond have two. A cursor has the key of a row in it, and keys may have gaps.
 */
export const makePlaceholders = () => {
  const known = new Map<string, Array<string>>()
  const cursors: Array<string> = []
  const times = new Set<string>()

  /** Its place among the different values that had this name, from 1. */
  const numberOf = (values: Array<string>, value: string) => {
    const index = values.indexOf(value)
    return index < 0 ? values.push(value) : index + 1
  }

  const nameOf = (moment: string, owner: string, value: string) => {
    const name = `${moment} of ${owner}`
    const values = known.get(name) ?? []
    known.set(name, values)
    times.add(value)
    return `<${name}, ${numberOf(values, value)}>`
  }

  return {
    /** An answer, or a piece of a stream. */
    answered: (path: string, text: string) => {
      let owner = "the service"
      const named = text.replace(marks, (whole, ...rest) => {
        const groups: Record<string, string | undefined> = rest.at(-1)
        if (groups.owner !== undefined) owner = groups.owner
        if (groups.cursor !== undefined) return `"next_cursor":"<cursor ${numberOf(cursors, groups.cursor)}>"`
        const { field = "", reason, time } = groups
        if (time === undefined) return whole
        const key = reason ?? field
        return whole.replace(time, nameOf(moments[key] ?? key, owner, time))
      })
      if (path === "/api/metrics") return named.replace(measured, '"$1":<measured>')
      if (path !== "/metrics") return named
      return named.replace(ofProcess, "<of the process>").replace(measuredSeries, "$1 <measured>")
    },
    /** The path of a request that names what an answer brought. */
    asked: (path: string) =>
      path
        .replace(/(?<=[?&]cursor=)[^&]+/, (value) =>
          cursors.includes(value) ? `<cursor ${numberOf(cursors, value)}>` : value
        )
        .replace(new RegExp(time, "g"), (value) => (times.has(value) ? "<a time>" : value))
  }
}
