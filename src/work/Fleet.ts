import { randomBytes } from "node:crypto"
import * as Os from "node:os"
import { Array as Arr, Cause, Clock, Context, DateTime, Effect, Layer, Option, Order, Schema } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { Figures } from "../observe/Figures.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { NodeRow } from "../store/NodeRow.ts"
import { type Nodes, OrdersRepo } from "../store/OrdersRepo.ts"
import type { BreakerState } from "./BreakerState.ts"
import { CircuitBreaker } from "./CircuitBreaker.ts"

/** A process that takes orders, or works on them. */
export interface FleetNode {
  readonly name: string
  readonly role: string
  readonly version: string
  readonly since: DateTime.Utc
  readonly heard_at: DateTime.Utc
  readonly alive: boolean
  /** As they were reported last. */
  readonly figures: Figures
  readonly breaker: BreakerState
}

/** After so many milliseconds of silence a node counts as gone. */
const goneAfter = 10_000

/** More orders that are due are not counted. */
const mostDue = 1000

const closed: BreakerState = {
  state: "closed",
  failures_in_a_row: 0,
  last_error_code: Option.none(),
  opened_at: Option.none(),
  next_probe_at: Option.none()
}

const Breaker = Schema.Struct({
  state: Schema.Literal("closed", "open", "half_open"),
  failures_in_a_row: Schema.NonNegativeInt,
  last_error_code: Schema.OptionFromNullOr(Schema.String),
  opened_at: Schema.OptionFromNullOr(Schema.DateTimeUtcFromNumber),
  next_probe_at: Schema.OptionFromNullOr(Schema.DateTimeUtcFromNumber)
})

/** The report of a node, as it stands in the table. */
const Report = Schema.parseJson(
  Schema.Struct({ figures: Figures, breaker: Schema.optionalWith(Breaker, { default: () => closed }) })
)
const encodeReport = Schema.encodeSync(Report)
const decodeReport = Schema.decodeUnknownOption(Report)
/** What cannot be read is of a version that reports otherwise. */
const nothing = { figures: Schema.decodeSync(Figures)({}), breaker: closed }

const ranks = { closed: 0, half_open: 1, open: 2 }
const badness = Order.combine(
  Order.mapInput(Order.number, ({ state }: BreakerState) => ranks[state]),
  Order.mapInput(Order.number, ({ failures_in_a_row }: BreakerState) => failures_in_a_row)
)

/** The breaker of the node that is the worst off. */
export const worstBreaker = (nodes: ReadonlyArray<FleetNode>): BreakerState =>
  Arr.reduce(nodes, closed, (worst, { breaker }) => (badness(breaker, worst) > 0 ? breaker : worst))

const bySince = Order.combine(
  Order.mapInput(DateTime.Order, ({ since }: FleetNode) => since),
  Order.mapInput(Order.string, ({ name }: FleetNode) => name)
)

/** What was heard last, and when by the clock that is never set. */
interface Heard {
  readonly at: number
  readonly rows: ReadonlyArray<NodeRow>
  readonly due: Option.Option<number>
}

/** Reports this node to the others each second, and reads of them, until the scope ends. */
const hear = Effect.fnUntraced(function* (
  { due: countDue, leave, report }: Nodes,
  own: { readonly name: string; readonly role: string; readonly version: string },
  current: Effect.Effect<typeof Report.Type>,
  monotonic: () => number
) {
  const startedAt = monotonic()
  let heard: Heard = { at: startedAt, rows: [], due: Option.none() }
  let isAway = false

  const reportOwn = Effect.gen(function* () {
    const figures = encodeReport(yield* current)
    const rows = yield* report({ ...own, up: monotonic() - startedAt, figures })
    heard = { at: monotonic(), rows, due: Option.some(yield* countDue(mostDue)) }
    if (isAway) yield* Effect.logInfo("Other nodes are heard of again")
    isAway = false
  })
  const away = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
    // A defect is not logged by the storage.
    const why = Cause.isDie(cause) ? [cause] : []
    if (!isAway) yield* Effect.logWarning("Other nodes are not heard of: this one answers for itself", ...why)
    isAway = true
  })

  yield* Effect.logInfo(`This node is ${own.name}`)
  // It ends after the loop below.
  yield* Effect.addFinalizer(() =>
    leave(own.name).pipe(Effect.interruptible, Effect.timeout("2 seconds"), Effect.ignore)
  )
  yield* keepRunning(
    "heartbeat of the node",
    Effect.forever(Effect.zipRight(Effect.catchAllCause(reportOwn, away), Effect.sleep("1 second")))
  )
  return () => heard
})

/**
 * The nodes that share the orders. Each reports to the others each second; one that is silent for ten is gone. A process
 * with the queue in memory is the only one.
 */
export class Fleet extends Context.Tag("orders/Fleet")<
  Fleet,
  {
    /** The nodes that were heard of within the last hour, and this one as it is now, by the time of their start. */
    readonly nodes: Effect.Effect<ReadonlyArray<FleetNode>>
    /** How many orders were due and waited for a worker of some node, 1,000 at most: none where this is the only process. */
    readonly due: Effect.Effect<Option.Option<number>>
  }
>() {
  static readonly layer = (version: string) =>
    Layer.scoped(
      this,
      Effect.gen(function* () {
        const { role } = yield* AppConfig
        const { nodes } = yield* OrdersRepo
        const { figures } = yield* Metrics
        const { state } = yield* CircuitBreaker
        const monotonic = yield* monotonicMillis
        const startedAt = yield* Clock.currentTimeMillis
        const name = `${Os.hostname()}-${process.pid}-${randomBytes(2).toString("hex")}`
        const own = { name, role, version }

        const current = Effect.map(state, (breaker) => ({ figures: figures(), breaker }))
        const heard = Option.isNone(nodes)
          ? (): Heard => ({ at: 0, rows: [], due: Option.none() })
          : yield* hear(nodes.value, own, current, monotonic)

        return {
          due: Effect.sync(() => heard().due),
          nodes: Effect.gen(function* () {
            const now = yield* Clock.currentTimeMillis
            const { at, rows } = heard()
            const row = rows.find((row) => row.name === name)
            const self: FleetNode = {
              ...own,
              since: DateTime.unsafeMake(row?.since ?? startedAt),
              heard_at: DateTime.unsafeMake(row?.heard_at ?? now),
              alive: true,
              ...(yield* current)
            }
            const others = rows
              .filter((row) => row.name !== name)
              .map(
                ({ figures, heard_at, name, role, silent, since, version }): FleetNode => ({
                  name,
                  role,
                  version,
                  since: DateTime.unsafeMake(since),
                  heard_at: DateTime.unsafeMake(heard_at),
                  alive: silent + monotonic() - at < goneAfter,
                  ...Option.getOrElse(decodeReport(figures), () => nothing)
                })
              )
            return Arr.sort([self, ...others], bySince)
          })
        }
      })
    )
}
