import { Array as Arr, Clock, type Context, Effect, Option } from "effect"
import { transitions } from "../../order/Order.ts"
import { defaultLook, suspectLosses } from "../Command.ts"
import { orderFits } from "../OrderFits.ts"
import type { OrdersRepo } from "../OrdersRepo.ts"
import { failureGroups } from "./FailureGroups.ts"
import type { OrdersTable } from "./OrdersTable.ts"
import { lookThrough, reopens } from "./RowSearch.ts"

/** What is read of the table. */
export const orderReads = (table: OrdersTable) => {
  const pending = () => table.all().filter((row) => row.order.status === transitions.claim.from[0])
  return {
    find: (id) => Effect.sync(() => Option.map(table.byId(id), ({ order }) => order)),

    findPruned: (id) => Effect.sync(() => table.prunedOf(id)),

    window: (lane, limit) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const line = pending()
          .filter((row) => lane === (row.losses < suspectLosses ? "open" : "suspect"))
          .sort((a, b) => a.dueAt - b.dueAt || a.seq - b.seq)
          .slice(0, limit)
        const ready = line.filter((row) => row.dueAt <= now).map((row) => row.seq)
        return {
          ready,
          nextDueAt: Option.map(Option.fromNullable(line[ready.length]), (row) => row.dueAt),
          more: ready.length === limit
        }
      }),

    firstDueAt: Effect.sync(() => {
      const due = pending().map((row) => row.dueAt)
      return due.length === 0 ? Option.none() : Option.some(Math.min(...due))
    }),

    list: (filter, before, limit, look = defaultLook) =>
      Effect.sync(() => {
        const rest = table.all().filter((row) => row.seq < Option.getOrElse(before, () => Number.MAX_SAFE_INTEGER))
        const { found, next } = lookThrough(rest.reverse(), orderFits(filter), limit, look)
        return { found: found.map(({ order, seq }) => ({ key: seq, order })), next }
      }),

    reopenable: (filter, after, until, limit, look = defaultLook) =>
      Effect.sync(() => {
        const rest = table.all().filter((row) => row.seq > after && row.seq <= until)
        const { found, next } = lookThrough(rest, reopens(filter), limit, look)
        return { found: found.map((row) => row.seq), next }
      }),

    changes: (filter, after, limit, look = defaultLook) =>
      Effect.sync(() => table.history.search(filter, after, limit, look)),

    historyRange: Effect.sync(table.history.range),

    failures: Effect.sync(() => failureGroups(table.all())),

    retentionTime: Effect.sync(() =>
      Option.orElse(table.retentionTime(), () => Option.map(Arr.last(table.all()), ({ order }) => order.accepted_at))
    ),

    totals: Effect.sync(table.totals)
  } satisfies Partial<Context.Tag.Service<OrdersRepo>>
}
