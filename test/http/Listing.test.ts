import { assert, layer } from "@effect/vitest"
import { Array as Arr, Context, Effect, Layer, Schema } from "effect"
import { Cursor, pageBytes } from "../../src/api/Filters.ts"
import { Order } from "../../src/order/Order.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { OrderProcessor } from "../../src/work/OrderProcessor.ts"
import { longTest } from "../support/Limits.ts"
import { anInsert, baseUrl, service, sqlRepo } from "../support/TestLayers.ts"

const closedProcessor = Layer.succeed(OrderProcessor, { ready: Effect.never, process: () => Effect.never })

/** The orders that each step of a listing reads at a time. */
const steps: Array<number> = []
const repo = Layer.map(sqlRepo, (context) => {
  const repo = Context.get(context, OrdersRepo)
  return Context.make(OrdersRepo, {
    ...repo,
    list: (filter, before, limit, look) =>
      Effect.tap(repo.list(filter, before, limit, look), ({ found }) => Effect.sync(() => steps.push(found.length)))
  })
})

const Page = Schema.parseJson(Schema.Struct({ orders: Schema.Array(Order.json), next_cursor: Schema.optional(Cursor) }))

const pageOf = (query: string) =>
  Effect.gen(function* () {
    const url = yield* baseUrl
    const text = yield* Effect.promise(async () => (await fetch(`${url}/api/orders?${query}`)).text())
    return { bytes: Buffer.byteLength(text), page: yield* Schema.decode(Page)(text) }
  })

/** All pages, one after the other. */
const pagesOf = (query: string) =>
  Effect.gen(function* () {
    const pages = [yield* pageOf(query)]
    for (;;) {
      const key = pages.at(-1)?.page.next_cursor
      if (key === undefined) return pages
      pages.push(yield* pageOf(`${query}&cursor=${Buffer.from(String(key)).toString("base64url")}`))
    }
  })

const insertAll = (commands: ReadonlyArray<ReturnType<typeof anInsert>>) =>
  Effect.flatMap(OrdersRepo, (repo) =>
    Effect.forEach(Arr.chunksOf(commands, 100), (some) =>
      Arr.isNonEmptyReadonlyArray(some) ? repo.write(some) : Effect.void
    )
  )

const idsOf = (pages: ReadonlyArray<{ readonly page: typeof Page.Type }>) =>
  pages.flatMap(({ page }) => page.orders.map(({ order_id }) => Number(order_id)))

const item_ids = Arr.makeBy(900, (index) => String(index).padStart(64, "i"))

layer(service({ repo, processor: closedProcessor }), { excludeTestServices: true })("a page", (it) => {
  it.effect(
    "ends at a MiB, or at as many orders as are asked for, and no order is repeated or left out",
    () =>
      Effect.gen(function* () {
        yield* insertAll(Arr.makeBy(40, (index) => anInsert(index + 1, { user_id: 1, item_ids })))
        yield* insertAll(Arr.makeBy(700, (index) => anInsert(1000 + index, { user_id: 2 })))
        const large = yield* pagesOf("user_id=1&limit=500")
        assert.deepStrictEqual(idsOf(large), Arr.reverse(Arr.range(1, 40)))
        assert.deepStrictEqual(
          large.map(({ page }) => page.orders.length),
          [17, 17, 6]
        )
        for (const { bytes } of large) assert.isAtMost(bytes, pageBytes)
        assert.isAtMost(Math.max(...steps), 16)

        const small = yield* pagesOf("user_id=2&limit=500")
        assert.deepStrictEqual(idsOf(small), Arr.reverse(Arr.range(1000, 1699)))
        assert.deepStrictEqual(
          small.map(({ page }) => page.orders.length),
          [500, 200]
        )
        for (const limit of [1, 15, 16, 17, 40, 41]) {
          const pages = yield* pagesOf(`user_id=1&limit=${limit}`)
          assert.deepStrictEqual(idsOf(pages), Arr.reverse(Arr.range(1, 40)), String(limit))
          assert.lengthOf(pages, Math.ceil(40 / Math.min(limit, 17)))
        }
      }),
    longTest
  )
})
