import * as Http from "node:http"
import type { Socket } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Exit, Fiber, Layer, Record, Schema } from "effect"
import { BulkAnswer } from "../../src/api/Answers.ts"
import { bulkLimit } from "../../src/api/BodyRules.ts"
import { NodeServer } from "../../src/http/NodeServer.ts"
import { OrderId, StorageUnavailable } from "../../src/order/Order.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { OrderProcessor } from "../../src/work/OrderProcessor.ts"
import { longTest } from "../support/Limits.ts"
import { baseUrl, client, memoryRepo, newOrder, Problem, service, sqlRepo } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const linesType = "application/x-ndjson"

const sendTo = (path: string, body: string, type: string) =>
  Effect.flatMap(baseUrl, (url) =>
    Effect.promise(async () => {
      const response = await fetch(`${url}${path}`, { method: "POST", headers: { "content-type": type }, body })
      return { status: response.status, headers: response.headers, text: await response.text() }
    })
  )

type Answer = Effect.Effect.Success<ReturnType<typeof sendTo>>

const send = (body: string, type = "application/json") => sendTo("/api/orders", body, type)

const decodeAnswer = Schema.decodeUnknown(Schema.parseJson(BulkAnswer), { onExcessProperty: "error" })

const problemOf = (answer: Answer, status: number, type: string) =>
  Effect.gen(function* () {
    assert.strictEqual(answer.status, status, answer.text)
    assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
    const problem = yield* Schema.decodeUnknown(Problem)(answer.text)
    assert.strictEqual(problem.type, `urn:orders:problem:${type}`)
    assert.strictEqual(problem.status, status)
    return problem
  })

const kinds = ["accepted", "replayed", "conflict", "invalid", "refused"] as const

/** The answer as documented: one result for each order, in their order, and counts that agree with them. */
const answerOf = (answer: Answer, size: number) =>
  Effect.gen(function* () {
    assert.strictEqual(answer.status, 200, answer.text.slice(0, 500))
    const decoded = yield* decodeAnswer(answer.text)
    const { results } = decoded
    assert.deepStrictEqual(
      results.map(({ index }) => index),
      Array.from({ length: size }, (_, index) => index)
    )
    for (const kind of kinds) {
      assert.strictEqual(decoded[kind], results.filter(({ result }) => result === kind).length, kind)
    }
    return decoded
  })

const counts = ({ accepted, conflict, invalid, refused, replayed }: BulkAnswer) => ({
  ...Record.filter({ accepted, conflict, invalid, refused, replayed }, (count) => count > 0)
})

/** The pointers of those that are invalid, by index. */
const pointers = ({ results }: BulkAnswer) =>
  Object.fromEntries(
    results.flatMap((result) =>
      result.result === "invalid" ? [[result.index, result.errors.map(({ pointer }) => pointer)]] : []
    )
  )

const errorsOf = ({ results }: BulkAnswer, index: number) => {
  const result = results[index]
  return result?.result === "invalid" ? result.errors : []
}

const order = (order_id: unknown, rest: object = {}) => ({
  order_id,
  user_id: 1,
  item_ids: [1, 2, 3],
  total_amount: 250.7,
  ...rest
})

const orders = (size: number, first = 1) => Arr.makeBy(size, (index) => order(first + index))

const sendAll = (values: ReadonlyArray<unknown>) =>
  Effect.flatMap(send(JSON.stringify(values)), (answer) => answerOf(answer, values.length))

const sendLines = (lines: ReadonlyArray<string>, size: number) =>
  Effect.flatMap(send(lines.join("\n"), linesType), (answer) => answerOf(answer, size))

const metrics = Effect.flatMap(client, (api) => api.service.metrics())
const totalOrders = Effect.map(metrics, ({ total_orders }) => total_orders)
const find = (id: string) =>
  Effect.flatMap(client, (api) => api.orders.find({ path: { order_id: OrderId.make(id) }, urlParams: {} }))

/** JSON so many levels deep. */
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
/** An order whose metadata makes it so many levels deep. */
const deepOrder = (order_id: number, levels: number) =>
  JSON.stringify(order(order_id, { metadata: {} })).replace("{}", `{"deep":${nested(levels - 2)}}`)
const manyFields = (order_id: number, fields: number) => ({
  ...order(order_id),
  ...Object.fromEntries(Arr.makeBy(fields - 4, (index) => [`x${index}`, 1]))
})

/** A processor that never gets ready, so every order stays Pending. */
const closedProcessor = Layer.succeed(OrderProcessor, { ready: Effect.never, process: () => Effect.never })

describe("BulkIntake", () => {
  it.live(
    "2,000 orders in one call, 7 of them bad: the others are completed, and replayed when sent again",
    () =>
      Effect.gen(function* () {
        const bad: Record<number, object> = {
          0: { ...order(1), order_id: undefined },
          249: order(250, { total_amount: -1 }),
          250: order(251, { colour: "red" }),
          1000: order(1001, { item_ids: [] }),
          1555: order(1556, { item_ids: [1, 0] }),
          1998: order(1999, { user_id: " ", currency: "eur" }),
          1999: order(2000, { metadata: "none" })
        }
        const values = orders(2000).map((good, index) => bad[index] ?? good)
        const invalid = {
          0: ["/order_id"],
          249: ["/total_amount"],
          250: ["/colour"],
          1000: ["/item_ids"],
          1555: ["/item_ids/1"],
          1998: ["/user_id", "/currency"],
          1999: ["/metadata"]
        }

        const first = yield* sendAll(values)
        assert.deepStrictEqual(counts(first), { accepted: 1993, invalid: 7 })
        assert.deepStrictEqual(pointers(first), invalid)
        for (const { index, order_id, result } of first.results) {
          assert.strictEqual(order_id, index === 0 ? null : String(index + 1))
          assert.strictEqual(result, index in bad ? "invalid" : "accepted")
        }

        yield* until(Effect.map(metrics, (now) => now.orders_completed >= 1993))
        const second = yield* sendAll(values)
        assert.deepStrictEqual(counts(second), { replayed: 1993, invalid: 7 })
        assert.deepStrictEqual(pointers(second), invalid)
        for (const result of second.results) {
          if (result.result === "replayed") assert.strictEqual(result.status, "Completed")
        }
        const end = yield* metrics
        assert.strictEqual(end.total_orders, 1993)
        assert.strictEqual(end.orders_completed, 1993)
      }).pipe(Effect.provide(service({ repo: sqlRepo }))),
    longTest
  )

  it.live(
    "a full backlog in the middle of a call: what does not fit is refused and not stored, the rest is right",
    () =>
      Effect.gen(function* () {
        const values = [
          ...orders(299),
          order(299),
          order(400, { total_amount: "x" }),
          ...orders(2, 300),
          order(302, { item_ids: ["a"] }),
          order(7, { total_amount: 1 }),
          order(8),
          { order_id: 9 },
          ...orders(300, 500)
        ]
        const answer = yield* sendAll(values)
        assert.deepStrictEqual(counts(answer), { accepted: 300, replayed: 2, conflict: 1, invalid: 2, refused: 302 })
        const kindOf = Object.fromEntries(answer.results.map(({ index, result }) => [index, result]))
        assert.deepStrictEqual(
          Arr.makeBy(9, (offset) => kindOf[298 + offset]),
          ["accepted", "replayed", "invalid", "accepted", "refused", "refused", "conflict", "replayed", "invalid"]
        )
        assert.strictEqual(yield* totalOrders, 300)
        for (const result of answer.results) {
          if (result.result !== "refused") continue
          assert.isTrue(result.retry_after >= 1 && result.retry_after <= 300)
          if (result.index % 50 === 0 || result.index < 310) {
            assert.strictEqual((yield* Effect.flip(find(result.order_id)))._tag, "OrderNotFound")
          }
        }
      }).pipe(
        Effect.provide(
          service({ repo: sqlRepo, processor: closedProcessor, settings: { maxPending: 300, workers: 1 } })
        )
      )
  )

  it.live("a storage failure in the middle of a call: 503, and the call can be repeated", () => {
    let broken = true
    const failing = Layer.effect(
      OrdersRepo,
      Effect.map(OrdersRepo, (repo) => ({
        ...repo,
        write: (commands: Parameters<typeof repo.write>[0]) =>
          broken && commands.some((command) => command._tag === "Insert" && command.order.order_id === "600")
            ? new StorageUnavailable({})
            : repo.write(commands)
      }))
    ).pipe(Layer.provide(memoryRepo))
    return Effect.gen(function* () {
      const body = JSON.stringify(orders(1000))
      const failed = yield* send(body)
      yield* problemOf(failed, 503, "storage-unavailable")
      assert.strictEqual(failed.headers.get("retry-after"), "5")
      assert.strictEqual((yield* Effect.flip(find("600")))._tag, "OrderNotFound")

      broken = false
      const again = yield* answerOf(yield* send(body), 1000)
      // Two batches before that of the order that failed, or more that are smaller.
      assert.strictEqual(again.accepted + again.replayed, 1000)
      assert.isTrue(again.replayed >= 350 && again.replayed < 600, String(again.replayed))
      assert.strictEqual(yield* totalOrders, 1000)
    }).pipe(Effect.provide(service({ repo: failing, processor: closedProcessor })))
  })

  it.live("takes two calls at a time, has eight more wait, and refuses the next until one has been answered", () =>
    Effect.gen(function* () {
      const goOn = yield* Deferred.make<void>()
      const held = Layer.effect(
        OrdersRepo,
        Effect.map(OrdersRepo, (repo) =>
          OrdersRepo.of({
            ...repo,
            write: (commands) =>
              commands.some(({ _tag }) => _tag === "Insert")
                ? Effect.zipRight(Deferred.await(goOn), repo.write(commands))
                : repo.write(commands)
          })
        )
      ).pipe(Layer.provide(memoryRepo))
      yield* Effect.gen(function* () {
        const calls = yield* Effect.forEach(Arr.range(1, 12), (call) =>
          Effect.fork(send(JSON.stringify(orders(3, call * 10))))
        )
        const answered = Effect.map(
          Effect.forEach(calls, (call) => Fiber.poll(call)),
          Arr.getSomes
        )
        yield* until(Effect.map(answered, (answers) => answers.length === 2))
        for (const exit of yield* answered) {
          const answer = yield* exit
          yield* problemOf(answer, 503, "too-many-calls")
          assert.strictEqual(answer.headers.get("retry-after"), "1")
        }
        yield* Deferred.succeed(goOn, undefined)
        const statuses = Arr.map(yield* Fiber.join(Fiber.all(calls)), ({ status }) => status)
        assert.deepStrictEqual(statuses.sort(), [...Arr.replicate(200, 10), 503, 503])
        for (let call = 0; call < 10; call++) yield* problemOf(yield* send("{}"), 422, "invalid-request")
        assert.deepStrictEqual(counts(yield* sendAll(orders(3, 1000))), { accepted: 3 })
      }).pipe(Effect.provide(service({ repo: held, processor: closedProcessor })))
    })
  )

  it.live("a call that hangs up while it waits leaves its place to another", () =>
    Effect.gen(function* () {
      const goOn = yield* Deferred.make<void>()
      const held = Layer.effect(
        OrdersRepo,
        Effect.map(OrdersRepo, (repo) => ({
          ...repo,
          write: (commands: Parameters<typeof repo.write>[0]) =>
            commands.some(({ _tag }) => _tag === "Insert")
              ? Effect.zipRight(Deferred.await(goOn), repo.write(commands))
              : repo.write(commands)
        }))
      ).pipe(Layer.provide(memoryRepo))
      yield* Effect.gen(function* () {
        const url = yield* baseUrl
        const { server } = yield* NodeServer
        let open = 0
        server.on("request", (_request, response) => {
          open += 1
          response.once("close", () => (open -= 1))
        })
        const sending = (first: number, signal?: AbortSignal) =>
          Effect.promise(() =>
            fetch(`${url}/api/orders`, {
              method: "POST",
              headers: { "content-type": "application/json" },
              body: JSON.stringify(orders(2, first)),
              signal: signal ?? null
            }).then(
              ({ status }) => status,
              () => 0
            )
          )
        const leaving = new AbortController()
        const staying = yield* Effect.forEach(Arr.range(1, 2), (call) => Effect.fork(sending(call * 10)))
        yield* until(() => open === 2)
        const waiting = yield* Effect.forEach(Arr.range(3, 10), (call) =>
          Effect.fork(sending(call * 10, call === 10 ? leaving.signal : undefined))
        )
        yield* until(() => open === 10)
        assert.strictEqual(yield* sending(1000), 503)
        leaving.abort()
        yield* until(() => open === 9)
        const last = yield* Effect.fork(sending(2000))
        yield* until(() => open === 10)
        yield* Deferred.succeed(goOn, undefined)
        assert.deepStrictEqual(yield* Fiber.join(Fiber.all([...staying, ...waiting, last])), [
          ...Arr.replicate(200, 9),
          0,
          200
        ])
        assert.strictEqual(yield* totalOrders, 20)
      }).pipe(Effect.provide(service({ repo: held, processor: closedProcessor })))
    })
  )

  it.live(
    "bodies that take all the room there is: 503, and nothing of them stored",
    () =>
      Effect.gen(function* () {
        const url = yield* baseUrl
        /** A call that has sent all but the last byte of its body. */
        const open = (path: string, bytes: number) =>
          Effect.acquireRelease(
            Effect.async<Http.ClientRequest>((resume) => {
              const headers = { "content-type": "application/json", "content-length": bytes }
              const request = Http.request(`${url}${path}`, { method: "POST", headers, agent: false })
              request.on("error", () => {})
              request.write(Buffer.alloc(bytes - 1, " "), () => resume(Effect.succeed(request)))
            }),
            (request) => Effect.sync(() => request.destroy())
          )
        const { server } = yield* NodeServer
        const sockets: Array<Socket> = []
        server.on("connection", (socket) => sockets.push(socket))
        yield* Effect.gen(function* () {
          for (let call = 0; call < 6; call++) yield* open("/api/orders", bulkLimit)
          // A call that came before all of them are here would take the room of one of them, which is refused then.
          yield* until(() => sockets.reduce((sum, { bytesRead }) => sum + bytesRead, 0) >= 6 * (bulkLimit - 1))
          const answer = yield* send(JSON.stringify(orders(1, 701)))
          yield* problemOf(answer, 503, "too-many-bytes")
          assert.strictEqual(answer.headers.get("retry-after"), "1")
          assert.strictEqual((yield* Effect.flip(find("701")))._tag, "OrderNotFound")
          assert.strictEqual((yield* sendTo("/api/order", JSON.stringify(order(702)), "application/json")).status, 202)
        }).pipe(Effect.scoped)
        yield* until(Effect.map(sendAll(orders(1, 701)).pipe(Effect.exit), Exit.isSuccess))
      }).pipe(Effect.provide(service({ repo: memoryRepo, processor: closedProcessor }))),
    longTest
  )

  it.live(
    "small orders that come during a large call are answered before it",
    () =>
      Effect.gen(function* () {
        const api = yield* client
        const events = yield* OrderEvents
        const begun = yield* Deferred.make<void>()
        const seen = { bulk: 0, atSingle: Arr.empty<number>() }
        yield* events.listen(({ changes }) => {
          for (const { order_id, from } of changes) {
            if (from._tag === "Some") continue
            if (order_id.startsWith("single")) seen.atSingle.push(seen.bulk)
            else seen.bulk += 1
          }
          Deferred.unsafeDone(begun, Effect.void)
        })
        const large = yield* Effect.fork(sendAll(orders(10_000)))
        yield* Deferred.await(begun)
        for (const id of ["single-1", "single-2", "single-3"]) {
          yield* api.orders.submit({ payload: newOrder(id) })
          assert.strictEqual(yield* Fiber.poll(large).pipe(Effect.map((exit) => exit._tag)), "None", id)
        }
        assert.deepStrictEqual(counts(yield* Fiber.join(large)), { accepted: 10_000 })
        assert.strictEqual(seen.atSingle.length, 3)
        for (const bulk of seen.atSingle) assert.isBelow(bulk, 10_000)
        assert.isBelow(seen.atSingle[0] ?? Number.NaN, 5000)
      }).pipe(Effect.scoped, Effect.provide(service({ repo: sqlRepo, processor: closedProcessor }))),
    longTest
  )

  it.live("a large call of nothing but bad orders gives others their turns too", () =>
    Effect.gen(function* () {
      const { server } = yield* NodeServer
      let turns = 0
      server.once("request", (_request, response) => {
        const turn = () => {
          if (response.writableEnded) return
          turns += 1
          setImmediate(turn)
        }
        turn()
      })
      assert.deepStrictEqual(counts(yield* sendAll(Arr.makeBy(10_000, () => null))), { invalid: 10_000 })
      assert.isAtLeast(turns, 20)
    }).pipe(Effect.provide(service({ repo: memoryRepo, processor: closedProcessor })))
  )

  it.live("thousands of orders with hundreds of faults each make no answer of many megabytes", () =>
    Effect.gen(function* () {
      const item_ids = Arr.makeBy(390, () => 0)
      const answer = yield* send(JSON.stringify(Arr.makeBy(2000, (index) => ({ order_id: index + 1, item_ids }))))
      const decoded = yield* answerOf(answer, 2000)
      assert.deepStrictEqual(counts(decoded), { invalid: 2000 })
      for (const index of [0, 1, 1000, 1999]) assert.isNotEmpty(errorsOf(decoded, index))
      assert.isBelow(answer.text.length, 8 * 1024 * 1024)
    }).pipe(Effect.provide(service({ repo: memoryRepo, processor: closedProcessor })))
  )
})

layer(service({ repo: memoryRepo, processor: closedProcessor }), { excludeTestServices: true })("one call", (it) => {
  it.effect("settles twins and conflicts inside one call, and names the fields that differ from known orders", () =>
    Effect.gen(function* () {
      const known = order(1, { currency: "EUR", metadata: { a: 1, b: 2 } })
      assert.deepStrictEqual(counts(yield* sendAll([known])), { accepted: 1 })
      const answer = yield* sendAll([
        order("twin"),
        order("twin", { total_amount: "250.70" }),
        order("twin", { total_amount: 250.71 }),
        order("twin"),
        { ...known, metadata: { b: 2, a: 1 } },
        order("1", { currency: "USD", item_ids: [3, 2, 1] }),
        order(1, { user_id: 2 }),
        order(2),
        order("2")
      ])
      assert.deepStrictEqual(counts(answer), { accepted: 2, replayed: 4, conflict: 3 })
      const [twin, one, two] = [OrderId.make("twin"), OrderId.make("1"), OrderId.make("2")]
      const replayed = { result: "replayed", status: "Pending" }
      assert.deepStrictEqual<unknown>(answer.results, [
        { index: 0, order_id: twin, result: "accepted" },
        { index: 1, order_id: twin, ...replayed },
        { index: 2, order_id: twin, result: "conflict", fields: ["total_amount"] },
        { index: 3, order_id: twin, ...replayed },
        { index: 4, order_id: one, ...replayed },
        { index: 5, order_id: one, result: "conflict", fields: ["item_ids", "currency", "metadata"] },
        { index: 6, order_id: one, result: "conflict", fields: ["user_id", "currency", "metadata"] },
        { index: 7, order_id: two, result: "accepted" },
        { index: 8, order_id: two, ...replayed }
      ])
      assert.strictEqual((yield* find("twin")).total_amount, 2_507_000)
      assert.strictEqual((yield* find("1")).user_id, "1")
    })
  )

  it.effect("answers with ids as they stand in JSON", () =>
    Effect.gen(function* () {
      const { text } = yield* send(JSON.stringify([order("10"), order(11), order("a-1"), order("012")]))
      assert.strictEqual(
        text,
        '{"accepted":4,"replayed":0,"conflict":0,"invalid":0,"refused":0,"results":[' +
          '{"index":0,"order_id":10,"result":"accepted"},{"index":1,"order_id":11,"result":"accepted"},' +
          '{"index":2,"order_id":"a-1","result":"accepted"},{"index":3,"order_id":"012","result":"accepted"}]}'
      )
    })
  )

  it.effect("takes lines of JSON: blank ones do not count, bad ones cost the others nothing", () =>
    Effect.gen(function* () {
      const line = (id: number, rest?: object) => JSON.stringify(order(id, rest))
      const answer = yield* sendLines(
        [
          "",
          `${line(100)}\r`,
          "\r",
          "   ",
          line(101),
          '{"order_id": 102,',
          line(103, { metadata: { text: "x".repeat(65_536) } }),
          deepOrder(104, 65),
          deepOrder(105, 64),
          JSON.stringify(manyFields(106, 101)),
          "[]",
          "null",
          '"order"',
          `${line(107)} ${line(108)}`,
          line(109, { item_ids: [] }),
          line(101),
          `\t${line(110)}  \r`,
          "",
          ""
        ],
        14
      )
      assert.deepStrictEqual(counts(answer), { accepted: 4, replayed: 1, invalid: 9 })
      assert.deepStrictEqual(
        answer.results.flatMap(({ order_id, result }) => (result === "accepted" ? [order_id] : [])),
        ["100", "101", "105", "110"].map((id) => OrderId.make(id))
      )
      assert.deepStrictEqual(pointers(answer), {
        2: [""],
        3: [""],
        4: [""],
        6: [""],
        7: [""],
        8: [""],
        9: [""],
        10: [""],
        11: ["/item_ids"]
      })
      assert.match(errorsOf(answer, 2)[0]?.detail ?? "", /^it is not JSON: /)
      assert.strictEqual(errorsOf(answer, 3)[0]?.detail, "an order may have at most 65536 bytes")
      assert.strictEqual(errorsOf(answer, 4)[0]?.detail, "it is nested deeper than 64 levels")
      assert.strictEqual(errorsOf(answer, 6)[0]?.detail, "it has more than 100 fields")
      assert.strictEqual(errorsOf(answer, 8)[0]?.detail, "expected a JSON object")
      assert.match(errorsOf(answer, 10)[0]?.detail ?? "", /^it is not JSON: /)
      assert.strictEqual(answer.results[3]?.order_id, OrderId.make("103"))
      assert.isNull(answer.results[2]?.order_id)
    })
  )

  it.effect("takes an array whose members are anything", () =>
    Effect.gen(function* () {
      const members = [
        "null",
        '"order"',
        "1",
        "true",
        "[]",
        JSON.stringify([order(200)]),
        deepOrder(201, 65),
        deepOrder(202, 64),
        nested(100_000),
        JSON.stringify(order(203, { metadata: { text: "x".repeat(65_536) } })),
        JSON.stringify(manyFields(204, 101)),
        JSON.stringify(manyFields(205, 100)),
        JSON.stringify(order(206)),
        "{}",
        JSON.stringify(order(-1))
      ]
      const answer = yield* answerOf(yield* send(`[${members.join(",")}]`), members.length)
      assert.deepStrictEqual(
        answer.results.flatMap(({ order_id, result }) => (result === "accepted" ? [order_id] : [])),
        ["202", "206"].map((id) => OrderId.make(id))
      )
      assert.strictEqual(answer.invalid, members.length - 2)
      for (const index of [0, 1, 2, 3, 4, 5]) {
        assert.deepStrictEqual(errorsOf(answer, index), [{ pointer: "", detail: "expected a JSON object" }])
      }
      assert.deepStrictEqual(errorsOf(answer, 6), [{ pointer: "", detail: "it is nested deeper than 64 levels" }])
      const tooLarge = [{ pointer: "", detail: "an order may have at most 65536 bytes" }]
      for (const index of [8, 9]) assert.deepStrictEqual(errorsOf(answer, index), tooLarge)
      for (const [index, id] of [
        [6, "201"],
        [9, "203"],
        [10, "204"]
      ] as const) {
        assert.strictEqual(answer.results[index]?.order_id, OrderId.make(id))
      }
      assert.deepStrictEqual(errorsOf(answer, 10), [{ pointer: "", detail: "it has more than 100 fields" }])
      assert.strictEqual(errorsOf(answer, 11).length, 96)
      assert.deepStrictEqual(pointers(answer)[13], ["/order_id", "/user_id", "/item_ids", "/total_amount"])
      assert.deepStrictEqual(pointers(answer)[14], ["/order_id"])
      assert.isNull(answer.results[14]?.order_id)
    })
  )

  it.effect("takes the orders of an array beside one that is not JSON", () =>
    Effect.gen(function* () {
      const [first, last] = [JSON.stringify(order(220)), JSON.stringify(order(221))]
      const broken = [
        '{"order_id":222,"total_amount":NaN}',
        "{'order_id':223}",
        '{"order_id":224]',
        "\ufeff{}",
        `${first}${last}`
      ]
      const answer = yield* answerOf(yield* send(`[${[first, ...broken, last].join(",")}]`), broken.length + 2)
      assert.deepStrictEqual(counts(answer), { accepted: 2, invalid: broken.length })
      for (const index of Arr.range(1, broken.length)) {
        assert.match(errorsOf(answer, index)[0]?.detail ?? "", /^it is not JSON: /)
        assert.isNull(answer.results[index]?.order_id)
      }
    })
  )

  it.effect("names no pointer that would make an answer as large as the call", () =>
    Effect.gen(function* () {
      const name = "x".repeat(60_000)
      const answer = yield* send(JSON.stringify([order(230, { [name]: 1 }), order(231, { ["y".repeat(100)]: 1 })]))
      assert.isBelow(answer.text.length, 2000)
      assert.deepStrictEqual(pointers(yield* answerOf(answer, 2)), { 0: [""], 1: [`/${"y".repeat(100)}`] })
    })
  )

  it.effect("takes an empty array, and no lines at all", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(counts(yield* sendAll([])), {})
      assert.deepStrictEqual(counts(yield* sendLines(["", "", ""], 0)), {})
    })
  )

  it.effect("refuses what is no array of up to 10,000 orders: 422", () =>
    Effect.gen(function* () {
      const before = yield* totalOrders
      for (const body of [order(300), { orders: [order(300)] }, null, "orders", 1, { orders: orders(2000) }]) {
        const { errors } = yield* problemOf(yield* send(JSON.stringify(body)), 422, "invalid-request")
        assert.strictEqual(errors?.[0]?.pointer, "")
      }
      const many = JSON.stringify(orders(10_001, 20_000))
      const { errors } = yield* problemOf(yield* send(many), 422, "invalid-request")
      assert.deepStrictEqual(errors, [{ pointer: "", detail: "expected at most 10000 orders, not more" }])
      const lines = orders(10_001, 20_000).map((one) => JSON.stringify(one))
      yield* problemOf(yield* send(lines.join("\n"), linesType), 422, "invalid-request")
      yield* problemOf(yield* send(`[${"0,".repeat(4_000_000)}0]`), 422, "invalid-request")
      assert.strictEqual(yield* totalOrders, before)
    })
  )

  it.effect("refuses what is not JSON as a whole: 400", () =>
    Effect.gen(function* () {
      const before = yield* totalOrders
      const one = JSON.stringify(order(400))
      for (const body of ["", " ", `[${one}`, `${one}\n{}`, `[${one},]`, `[${one},,${one}]`, `[${one}]]`, `[${one}}`]) {
        yield* problemOf(yield* send(body), 400, "malformed-request")
      }
      assert.strictEqual(yield* totalOrders, before)
    })
  )

  it.effect("refuses more than 8 MiB: 413, and takes 8 MiB", () =>
    Effect.gen(function* () {
      const limit = 8 * 1024 * 1024
      const body = JSON.stringify([order(500)])
      const { detail } = yield* problemOf(yield* send(body.padEnd(limit + 1)), 413, "body-too-large")
      assert.include(detail, String(limit))
      yield* problemOf(yield* send("\n".repeat(limit + 1), linesType), 413, "body-too-large")
      assert.strictEqual((yield* Effect.flip(find("500")))._tag, "OrderNotFound")
      assert.deepStrictEqual(counts(yield* answerOf(yield* send(body.padEnd(limit)), 1)), { accepted: 1 })
    })
  )

  it.effect("refuses another media type: 415, and lines where one order is expected", () =>
    Effect.gen(function* () {
      const body = JSON.stringify([order(600)])
      for (const type of ["text/plain", "application/jsonl", "application/x-ndjson-seq", "text/csv"]) {
        const { detail } = yield* problemOf(yield* send(body, type), 415, "unsupported-media-type")
        assert.include(detail, "application/json or application/x-ndjson")
      }
      yield* problemOf(yield* send(body, `${linesType}; charset=latin1`), 415, "unsupported-media-type")
      const one = JSON.stringify(order(600))
      yield* problemOf(yield* sendTo("/api/order", one, linesType), 415, "unsupported-media-type")
      const lines = yield* send(one, "Application/X-NDJSON; charset=utf-8")
      assert.deepStrictEqual(counts(yield* answerOf(lines, 1)), { accepted: 1 })
    })
  )

  it.effect("takes lines behind a byte order mark, as files put together have them", () =>
    Effect.gen(function* () {
      const lines = [601, 602].map((id) => `\ufeff${JSON.stringify(order(id))}\r\n`).join("")
      assert.deepStrictEqual(counts(yield* answerOf(yield* send(`${lines}\ufeff`, linesType), 2)), { accepted: 2 })
      const array = yield* send(`\ufeff${JSON.stringify([order(603)])}`)
      assert.deepStrictEqual(counts(yield* answerOf(array, 1)), { accepted: 1 })
    })
  )
})
