import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, DateTime, Deferred, Duration, Effect, Layer, Option, Schema } from "effect"
import { OrderList } from "../src/api/Answers.ts"
import { makeListing } from "../src/http/Listing.ts"
import { Orders } from "../src/Orders.ts"
import { Order, OrderId, UserId } from "../src/order/Order.ts"
import { GroupCommit } from "../src/store/GroupCommit.ts"
import { OrdersRepo } from "../src/store/OrdersRepo.ts"
import { Permanent, Retryable } from "../src/work/OrderProcessor.ts"
import { command } from "./support/CliCommand.ts"
import { makeJumpingClock } from "./support/JumpingClock.ts"
import { longTest } from "./support/Limits.ts"
import {
  anInsert,
  baseUrl,
  client,
  newOrder,
  Problem,
  processor,
  type Settings,
  service,
  sqlRepo
} from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

type Process = Parameters<typeof processor>[0]

const test = <E>(
  title: string,
  process: Process,
  body: Effect.Effect<void, E, Effect.Effect.Context<typeof client> | GroupCommit | OrdersRepo>,
  settings: Settings = {}
) =>
  it.live(title, () => {
    const live = service({
      repo: sqlRepo,
      processor: processor(process),
      settings: { shutdownGrace: Duration.zero, ...settings }
    })
    return body.pipe(Effect.provide(live))
  })

const path = (id: number | string) => ({ order_id: OrderId.make(String(id)) })
const submit = (id: number | string, rest: object = {}) =>
  Effect.flatMap(client, (api) => api.orders.submit({ payload: newOrder(id, rest) }))
const find = (id: number | string) =>
  Effect.flatMap(client, (api) => api.orders.find({ path: path(id), urlParams: {} }))
const cancel = (id: number | string) => Effect.flatMap(client, (api) => api.orders.cancel({ path: path(id) }))
const retry = (id: number | string) => Effect.flatMap(client, (api) => api.orders.retry({ path: path(id) }))

const untilStatus = (id: number | string, status: string) =>
  Effect.zipRight(until(Effect.map(find(id), (order) => order.status === status)), find(id))

const untilCount = (status: "orders_failed" | "orders_completed", count: number) =>
  Effect.flatMap(client, (api) => until(Effect.map(api.service.metrics(), (now) => now[status] === count)))

/** A request the typed client would not send, or whose answer is to be seen as it is. */
const problem = (method: string, path: string, body?: string) =>
  Effect.flatMap(baseUrl, (url) =>
    Effect.promise(async () => {
      const init = body === undefined ? {} : { body, headers: { "content-type": "application/json" } }
      const response = await fetch(`${url}${path}`, { method, ...init })
      assert.strictEqual(response.headers.get("content-type"), "application/problem+json", path)
      const answer = Schema.decodeUnknownSync(Problem)(await response.text())
      assert.strictEqual(answer.status, response.status)
      return { ...answer, type: answer.type.replace("urn:orders:problem:", "") }
    })
  )

const pointers = (answer: Effect.Effect.Success<ReturnType<typeof problem>>) =>
  (answer.errors ?? []).map(({ pointer }) => pointer).sort()

/** Orders whose id starts with "bad" are refused for good, "busy" ones for now, "slow" ones take for ever. */
const byName: Process = ({ order_id }, { run }) =>
  order_id.startsWith("bad") && run === 1
    ? new Permanent({ code: order_id.includes("address") ? "bad_address" : "bad_card", message: "no" })
    : order_id.startsWith("busy") && run === 1
      ? new Retryable({ code: "busy", message: "later", delay: Duration.days(1) })
      : order_id.startsWith("slow")
        ? Effect.never
        : Effect.succeed({ run })

describe("acting on orders over HTTP", { timeout: longTest }, () => {
  test(
    "an order that fails twice is Completed at its third attempt, with the clock of the wall",
    (_order, { attempt }) => (attempt < 3 ? new Retryable({ message: "not yet" }) : Effect.succeed({ attempt })),
    Effect.gen(function* () {
      yield* submit(1)
      const order = yield* untilStatus(1, "Completed")
      assert.strictEqual(order.attempts, 3)
      assert.deepStrictEqual(order.result, Option.some({ attempt: 3 }))
    }),
    { retryBase: Duration.millis(20) }
  )

  test(
    "cancels what waits or runs, answers a repeat alike, and refuses the rest with the status",
    byName,
    Effect.gen(function* () {
      yield* Effect.forEach(["slow", "busy", "good", "bad"], (id) => submit(id))
      yield* untilStatus("slow", "Processing")
      yield* untilStatus("good", "Completed")
      yield* untilStatus("bad", "Failed")
      const waiting = yield* Effect.repeat(find("busy"), { until: (order) => Option.isSome(order.next_attempt_at) })
      assert.strictEqual(Option.getOrThrow(waiting.last_error).code, "busy")

      for (const id of ["slow", "busy"]) {
        const order = yield* cancel(id)
        assert.strictEqual(order.status, "Cancelled")
        assert.isTrue(Option.isSome(order.finished_at))
        assert.isTrue(Option.isNone(order.next_attempt_at))
        assert.deepStrictEqual({ ...(yield* cancel(id)) }, { ...order })
        assert.deepStrictEqual({ ...(yield* find(id)) }, { ...order })
      }
      for (const [id, status] of [
        ["good", "Completed"],
        ["bad", "Failed"]
      ] as const) {
        const before = yield* find(id)
        const refusal = yield* problem("POST", `/api/order/${id}/cancel`)
        assert.deepStrictEqual([refusal.status, refusal.type], [409, "order-status-conflict"])
        assert.include(refusal.detail, `is ${status}`)
        assert.strictEqual((yield* Effect.flip(cancel(id)))._tag, "OrderStatusConflict")
        assert.deepStrictEqual({ ...(yield* find(id)) }, { ...before })
      }
    })
  )

  test(
    "retries what Failed or was cancelled under the next run, and refuses the rest with the status",
    byName,
    Effect.gen(function* () {
      yield* Effect.forEach(["slow", "busy", "good", "bad"], (id) => submit(id))
      yield* untilStatus("bad", "Failed")
      yield* untilStatus("good", "Completed")
      yield* untilStatus("slow", "Processing")
      yield* Effect.repeat(find("busy"), { until: (order) => Option.isSome(order.next_attempt_at) })
      for (const [id, status] of [
        ["good", "Completed"],
        ["slow", "Processing"],
        ["busy", "Pending"]
      ] as const) {
        const refusal = yield* problem("POST", `/api/order/${id}/retry`)
        assert.deepStrictEqual([refusal.status, refusal.type], [409, "order-status-conflict"])
        assert.include(refusal.detail, `is ${status}`)
      }
      yield* cancel("busy")
      for (const id of ["bad", "busy"]) {
        const order = yield* retry(id)
        assert.deepStrictEqual([order.status, order.attempts], ["Pending", 0])
        const end = yield* untilStatus(id, "Completed")
        assert.deepStrictEqual([end.attempts, end.result], [1, Option.some({ run: 2 })])
      }
    })
  )

  test(
    "answers 404 for an order it does not know, 422 for an id that is none, 405 for another method",
    byName,
    Effect.gen(function* () {
      for (const verb of ["cancel", "retry"]) {
        const missing = yield* problem("POST", `/api/order/nobody/${verb}`)
        assert.deepStrictEqual(
          [missing.status, missing.type, missing.detail],
          [404, "order-not-found", "Order not found"]
        )
        const invalid = yield* problem("POST", `/api/order/-/${verb}`)
        assert.deepStrictEqual(
          [invalid.status, invalid.type, pointers(invalid)],
          [422, "invalid-request", ["/order_id"]]
        )
        assert.strictEqual((yield* problem("GET", `/api/order/1/${verb}`)).status, 405)
      }
    })
  )

  test(
    "groups failures by code, and retries many by filter",
    byName,
    Effect.gen(function* () {
      const api = yield* client
      assert.deepStrictEqual((yield* api.orders.failures()).failures, [])
      const cards = Arr.makeBy(7, (index) => `bad-card-${index}`)
      const addresses = Arr.makeBy(2, (index) => `bad-address-${index}`)
      yield* Effect.forEach(cards, (id) => submit(id, { user_id: 7 }))
      yield* Effect.forEach(addresses, (id) => submit(id))
      yield* submit("busy")
      yield* cancel("busy")
      yield* Effect.forEach([...cards, ...addresses], (id) => untilStatus(id, "Failed"))
      const { failures } = yield* api.orders.failures()
      assert.deepStrictEqual(
        failures.map(({ count, error_code, order_ids }) => [error_code, count, [...order_ids]]),
        [
          ["bad_card", 7, cards.slice(2).reverse()],
          ["bad_address", 2, Arr.reverse(addresses)]
        ]
      )
      for (const { first_at, last_at } of failures) assert.isTrue(DateTime.lessThanOrEqualTo(first_at, last_at))

      const retryMany = (filter: object) =>
        Effect.map(api.orders.retryMany({ payload: { status: "Failed", ...filter } }), ({ retried }) => retried)
      assert.strictEqual(yield* retryMany({ error_code: "bad_address", user_id: UserId.make("7") }), 0)
      assert.strictEqual(yield* retryMany({ accepted_after: yield* DateTime.now }), 0)
      assert.strictEqual(yield* retryMany({ error_code: "bad_address" }), 2)
      assert.strictEqual(yield* retryMany({}), 7)
      assert.strictEqual(yield* retryMany({ status: "Cancelled" }), 1)
      yield* Effect.forEach([...cards, ...addresses, "busy"], (id) => untilStatus(id, "Completed"))
      assert.strictEqual(yield* retryMany({}), 0)
      assert.deepStrictEqual((yield* api.orders.failures()).failures, [])

      for (const [body, at] of [
        ['{"status":"Completed"}', ["/status"]],
        ['{"status":"Lost","error_code":"","user_id":-1,"accepted_after":"soon"}', undefined],
        ['{"error":"x"}', ["/error"]],
        ['{"accepted_before":"2027-02-30"}', ["/accepted_before"]],
        ['{"accepted_after":"03/04/2020","accepted_before":5}', ["/accepted_after", "/accepted_before"]]
      ] as const) {
        const invalid = yield* problem("POST", "/api/orders/retry", body)
        assert.deepStrictEqual([invalid.status, invalid.type], [422, "invalid-request"])
        assert.deepStrictEqual(
          pointers(invalid),
          at === undefined ? ["/accepted_after", "/error_code", "/status", "/user_id"] : [...at]
        )
      }
      assert.strictEqual((yield* problem("POST", "/api/orders/retry", "{")).status, 400)
    })
  )

  test(
    "shows that there are more codes than it shows, and takes each that it shows as a filter",
    ({ order_id }) => {
      const number = Number(order_id)
      const code = number % 2 === 0 ? `https://shop.example/${"errors/".repeat(30)}${number}` : `code ${number}\u0000`
      return new Permanent({ code, message: "no" })
    },
    Effect.gen(function* () {
      const api = yield* client
      yield* Effect.forEach(Arr.range(1, 155), (id) => submit(id), { concurrency: 20 })
      yield* untilCount("orders_failed", 155)
      const { failures, other } = yield* api.orders.failures()
      assert.deepStrictEqual([failures.length, { ...other }], [100, { count: 55, groups: 55 }])
      const { stdout } = yield* command(["failures"], { url: yield* baseUrl })
      assert.include(stdout, "\n55 more orders, of 55 other codes.\n")
      for (const { error_code, order_ids } of failures) {
        const { orders } = yield* api.orders.list({ urlParams: { error_code, limit: 9 } })
        assert.deepStrictEqual(
          orders.map(({ order_id }) => order_id),
          [...order_ids]
        )
        assert.strictEqual(orders.length, 1)
      }
      const [first] = failures
      const payload = { status: "Failed" as const, error_code: first?.error_code }
      assert.strictEqual((yield* api.orders.retryMany({ payload })).retried, 1)
    })
  )

  test(
    "retries more than one batch of failures with one call, each once",
    byName,
    Effect.gen(function* () {
      const api = yield* client
      const commits = yield* GroupCommit
      const ids = Arr.makeBy(1200, (index) => `bad-${index}`)
      yield* Effect.forEach(ids, (id) => commits.write(anInsert(id)), {
        concurrency: "unbounded"
      })
      yield* untilCount("orders_failed", 1200)
      assert.strictEqual((yield* api.orders.retryMany({ payload: { status: "Failed" } })).retried, 1200)
      yield* untilCount("orders_completed", 1200)
      const repo = yield* OrdersRepo
      for (const { order } of (yield* repo.list({}, Option.none(), 1200, 1200)).found) {
        assert.deepStrictEqual(order.result, Option.some({ run: 2 }))
      }
    })
  )
})

describe("listing over HTTP", { timeout: longTest }, () => {
  test(
    "takes every filter, and names every bad parameter",
    byName,
    Effect.gen(function* () {
      const api = yield* client
      yield* submit("good-1", { user_id: "u" })
      // So that the time of acceptance tells them apart, however fast the machine is.
      yield* Effect.sleep("5 millis")
      yield* submit("bad-1")
      yield* submit("bad-address", { user_id: "u" })
      yield* submit("slow")
      yield* untilStatus("good-1", "Completed")
      yield* untilStatus("bad-1", "Failed")
      yield* untilStatus("bad-address", "Failed")
      yield* untilStatus("slow", "Processing")
      const list = (filter: Partial<Parameters<typeof api.orders.list>[0]["urlParams"]>) =>
        Effect.map(api.orders.list({ urlParams: { limit: 50, ...filter } }), ({ next_cursor, orders }) => {
          assert.isUndefined(next_cursor)
          return orders.map(({ order_id }) => String(order_id))
        })
      assert.deepStrictEqual(yield* list({}), ["slow", "bad-address", "bad-1", "good-1"])
      assert.deepStrictEqual(yield* list({ status: "Failed" }), ["bad-address", "bad-1"])
      assert.deepStrictEqual(yield* list({ user_id: UserId.make("u") }), ["bad-address", "good-1"])
      assert.deepStrictEqual(yield* list({ error_code: "bad_card" }), ["bad-1"])
      assert.deepStrictEqual(yield* list({ error_code: "bad_card", user_id: UserId.make("u") }), [])
      const { accepted_at } = yield* find("bad-1")
      assert.deepStrictEqual(yield* list({ accepted_before: accepted_at, user_id: UserId.make("u") }), ["good-1"])
      assert.include(yield* list({ accepted_after: accepted_at }), "bad-1")
      assert.notInclude(yield* list({ accepted_before: accepted_at }), "bad-1")
      for (const order of (yield* api.orders.list({ urlParams: { limit: 50 } })).orders) {
        assert.deepStrictEqual({ ...order }, { ...(yield* find(order.order_id)) })
      }

      for (const parameter of [
        ...["status=Done", "status=", "user_id=-", "error_code=", "accepted_after=soon", "accepted_before=1"],
        ...["limit=0", "limit=501", "limit=1.5", "limit=x", "cursor=x", "cursor=MA", "cursor=LTE", "cursor=", "page=2"],
        ...["limit=0x10", "limit=%2B5", "limit=+5", "limit=1e1", "limit=05", "limit=5&limit=6", "limit="],
        ...["0x10", "1e1", "+5", "05", " 5"].map((key) => `cursor=${Buffer.from(key).toString("base64url")}`),
        ...["2027-02-30", "5", "-1", "03/04/2020", "2026-01-31T12:00Z", "2026-01-31T12:00:00", "2026-13-01"].map(
          (time) => `accepted_before=${time}`
        ),
        `error_code=${"x".repeat(129)}`
      ]) {
        const invalid = yield* problem("GET", `/api/orders?${parameter}`)
        assert.deepStrictEqual(
          [invalid.status, invalid.type, pointers(invalid)],
          [422, "invalid-request", [`/${parameter.replace(/=.*/, "")}`]],
          parameter
        )
      }
      for (const wait of ["0x1", "%2B1", "1e1", "01", "31", "-1", ""]) {
        const invalid = yield* problem("GET", `/api/order/bad-1?wait=${wait}`)
        assert.deepStrictEqual([invalid.status, pointers(invalid)], [422, ["/wait"]], wait)
      }
      assert.deepStrictEqual(pointers(yield* problem("GET", "/api/orders?limit=0&status=x&cursor=x")), [
        "/cursor",
        "/limit",
        "/status"
      ])
    })
  )

  test(
    "pages through thousands of orders while new ones arrive: none twice, none missing, newest first",
    () => Effect.never,
    Effect.gen(function* () {
      const api = yield* client
      const commits = yield* GroupCommit
      const insert = (id: number) => commits.write(anInsert(id, { user_id: 1 + (id % 3) }))
      const insertAll = (from: number, to: number) =>
        Effect.forEach(Arr.range(from, to), insert, { concurrency: "unbounded", discard: true })
      yield* insertAll(1, 3000)
      let next = 3001
      for (const [urlParams, expected] of [
        [{ limit: 170 }, Arr.range(1, 3000)],
        [{ limit: 70, user_id: UserId.make("2") }, Arr.range(1, 3000).filter((id) => id % 3 === 1)]
      ] as const) {
        const newest = next - 1
        const seen: Array<string> = []
        let cursor: number | undefined
        let pages = 0
        do {
          const page = yield* api.orders.list({
            urlParams: { ...urlParams, ...(cursor === undefined ? {} : { cursor }) }
          })
          assert.isAtMost(page.orders.length, urlParams.limit)
          seen.push(...page.orders.map(({ order_id }) => order_id))
          cursor = page.next_cursor
          pages += 1
          yield* insertAll(next, next + 24)
          next += 25
        } while (cursor !== undefined)
        const later = Arr.range(3001, Math.max(3001, newest)).filter((id) => newest > 3000 && id % 3 === 1)
        assert.deepStrictEqual(seen, [...expected, ...later].map(String).reverse())
        assert.strictEqual(pages, Math.ceil(seen.length / urlParams.limit))
      }
    }),
    { workers: 1 }
  )
})

describe("cancelling over HTTP", () => {
  let interrupted = 0
  const begun = Effect.runSync(Deferred.make<void>())
  test(
    "commits first, and then interrupts the attempt",
    () =>
      Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
        Effect.onInterrupt(() => Effect.sync(() => (interrupted += 1)))
      ),
    Effect.gen(function* () {
      yield* submit(1)
      yield* Deferred.await(begun)
      assert.strictEqual(interrupted, 0)
      assert.strictEqual((yield* cancel(1)).status, "Cancelled")
      yield* until(() => interrupted === 1)
      const now = yield* Effect.flatMap(client, (api) => api.service.metrics())
      assert.deepStrictEqual([now.orders_cancelled, now.orders_processing], [1, 0])
    })
  )
})

describe("a listing that finds little", () => {
  const { clock, setTime } = makeJumpingClock()
  /** Each step of a search looks at one order only, and takes over a second. */
  const slowRepo = Layer.map(sqlRepo, (context) => {
    const repo = Context.get(context, OrdersRepo)
    return Context.make(OrdersRepo, {
      ...repo,
      list: (filter, before, limit) =>
        Effect.zipRight(setTime(clock.unsafeCurrentTimeMillis() + 1010), repo.list(filter, before, limit, 1))
    })
  })

  it.live("ends a page early, even with no order in it, and goes on by its cursor to the last one", () =>
    Effect.gen(function* () {
      const api = yield* client
      yield* Effect.forEach(["1", "2", "3"], (id) => submit(id, { user_id: id === "2" ? 2 : 1 }))
      const urlParams = { limit: 50, user_id: UserId.make("2"), status: "Pending" as const }
      yield* cancel("2")
      yield* Effect.forEach(["4", "5"], (id) => submit(id, { user_id: 2 }))
      yield* cancel("5")
      const pages: Array<ReadonlyArray<string>> = []
      let cursor: number | undefined
      do {
        const page = yield* api.orders.list({
          urlParams: { ...urlParams, ...(cursor === undefined ? {} : { cursor }) }
        })
        pages.push(page.orders.map(({ order_id }) => order_id))
        cursor = page.next_cursor
      } while (cursor !== undefined && pages.length < 9)
      assert.isUndefined(cursor)
      assert.deepStrictEqual(pages.slice(0, 2), [[], ["4"]])
      assert.deepStrictEqual(pages.flat(), ["4"])
      // The command line goes on too, with --all and without.
      const url = yield* baseUrl
      for (const args of [["--limit", "1"], ["--all"]]) {
        const { code, stdout } = yield* command(["list", "--json", "--user-id", "2", "--status", "Pending", ...args], {
          url
        })
        assert.deepStrictEqual([code, stdout.trim().split("\n").length], [0, 1])
        assert.strictEqual(JSON.parse(stdout).order_id, 4)
      }
    }).pipe(
      Effect.provide(
        service({
          repo: slowRepo,
          processor: processor(() => Effect.never),
          settings: { workers: 0, shutdownGrace: Duration.zero }
        })
      ),
      Effect.withClock(clock)
    )
  )
})

describe("a page of large orders", () => {
  it.effect("is written as the contract encodes it, in pieces between which the event loop turns", () =>
    Effect.gen(function* () {
      const orders = Arr.makeBy(
        60,
        (index) =>
          new Order({
            ...newOrder(index + 1, { item_ids: Arr.range(1, 1000), metadata: { index }, currency: "EUR" }),
            status: "Failed",
            attempts: 1,
            accepted_at: DateTime.unsafeMake(1000 + index),
            started_at: Option.none(),
            finished_at: Option.some(DateTime.unsafeMake(2000)),
            next_attempt_at: Option.none(),
            last_error: Option.some({ code: "no", message: "\u2028", attempt: 1, at: DateTime.unsafeMake(2000) }),
            result: Option.none()
          })
      )
      let turns = 0
      let goesOn = true
      const turn = () => {
        turns += 1
        if (goesOn) setImmediate(turn)
      }
      turn()
      for (const next of [Option.none<number>(), Option.some(7)]) {
        turns = 0
        const listed = Layer.mock(Orders, {
          list: (_filter, _before, _limit, take) => Effect.as(Effect.forEach(orders, take), next)
        })
        const { body } = yield* Effect.flatMap(Orders, (orders) => makeListing(orders)({ limit: 60 })).pipe(
          Effect.provide(listed)
        )
        assert.isAtLeast(turns, 29)
        if (body._tag !== "Uint8Array") return assert.fail(body._tag)
        const list = new OrderList({ orders, next_cursor: Option.getOrUndefined(next) })
        assert.deepStrictEqual(
          JSON.parse(new TextDecoder().decode(body.body)),
          JSON.parse(JSON.stringify(Schema.encodeSync(OrderList)(list)))
        )
      }
      goesOn = false
    })
  )
})
