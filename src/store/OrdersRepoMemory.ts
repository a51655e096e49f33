import { Clock, type Context, Deferred, Effect, FiberId, Layer, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { orderReads } from "./memory/OrderReads.ts"
import { makeOrdersTable } from "./memory/OrdersTable.ts"
import { orderWrites } from "./memory/OrderWrites.ts"
import { OrdersRepo } from "./OrdersRepo.ts"

/** Orders in this process's memory. A batch cannot fail half-way here: nothing between its commands can fail. */
const make = Effect.gen(function* () {
  const { history, maxPending } = yield* AppConfig
  const table = makeOrdersTable(Option.isSome(history))
  const run = orderWrites(table, maxPending, yield* monotonicMillis)
  const service: Context.Tag.Service<OrdersRepo> = {
    ...orderReads(table),
    write: (commands) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const results = commands.map((command) => run(command, now))
        return { results, commit: table.commit() }
      }),
    isUnsure: () => false,
    nodes: Option.none(),
    fault: Deferred.unsafeMake(FiberId.none)
  }
  return service
})

/** The same behaviour without a database: for tests and trials. Nothing outlives the layer. */
export const layer = Layer.effect(OrdersRepo, make)
