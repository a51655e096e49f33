import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, FastCheck, Layer, Option, Schema } from "effect"
import { Api } from "../../src/api/Api.ts"
import { isFinal, Money, NewOrder, Order, OrderIdJson, Status, transitions } from "../../src/order/Order.ts"
import { Command } from "../../src/store/Command.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { longTest } from "../support/Limits.ts"
import { config, sqlRepo } from "../support/TestLayers.ts"

const decode = Schema.decodeUnknownSync(NewOrder)
const encode = Schema.encodeSync(NewOrder)

/** As it arrives and leaves over the wire. */
const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** What the shop said of an order, in whichever form it was decoded. */
const content = (order: NewOrder | Order) => ({
  order_id: String(order.order_id),
  user_id: String(order.user_id),
  item_ids: order.item_ids.map(String),
  total_amount: Number(order.total_amount),
  currency: Option.getOrNull(order.currency),
  metadata: JSON.stringify(Option.getOrNull(order.metadata))
})

const Faults = Schema.Struct({
  errors: Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.NonEmptyString }))
})

/** The JSON pointers the service answers with; fails if the order is accepted. */
const faults = (input: unknown) =>
  Schema.decodeUnknown(NewOrder)(input).pipe(
    Effect.flip,
    Effect.flatMap(HttpApiDecodeError.fromParseError),
    Effect.flatMap(Schema.encode(Api.errorSchema)),
    Effect.flatMap(Schema.decodeUnknown(Faults)),
    Effect.map(({ errors }) => errors.map(({ pointer }) => pointer).sort())
  )

const id = FastCheck.oneof(
  FastCheck.integer({ min: 1, max: 1000 }),
  FastCheck.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  FastCheck.stringMatching(/^[1-9][0-9]{0,18}$/),
  FastCheck.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/)
)

const units = FastCheck.oneof(
  FastCheck.integer({ min: 0, max: 999_999_999_999_999 }),
  FastCheck.integer({ min: 0, max: 99_999 })
)

/** The decimal digits of an amount, by integer arithmetic only. */
const decimal = (units: number) => `${Math.floor(units / 10_000)}.${String(units % 10_000).padStart(4, "0")}`

const amount = FastCheck.tuple(
  units,
  FastCheck.constantFrom(
    (text: string): string | number => text,
    (text: string) => text.replace(/\.?0+$/, ""),
    (text: string) => Number(text)
  )
).map(([units, write]) => ({ units, json: write(decimal(units)) }))

const metadata = FastCheck.object({
  key: FastCheck.oneof(FastCheck.string(), FastCheck.constantFrom("__proto__", "constructor", "toString", "é")),
  values: [
    FastCheck.string({ unit: "binary" }),
    FastCheck.boolean(),
    FastCheck.constant(null),
    FastCheck.maxSafeInteger(),
    FastCheck.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })
  ]
})
  .map(overTheWire)
  .filter((metadata) => JSON.stringify(metadata).length < 2000)

const sample = FastCheck.record({
  order_id: id,
  user_id: id,
  item_ids: FastCheck.oneof(
    FastCheck.array(id, { minLength: 1, maxLength: 5 }),
    FastCheck.array(id, { minLength: 990, maxLength: 1000 })
  ),
  amount,
  currency: FastCheck.option(FastCheck.stringMatching(/^[A-Z]{3}$/)),
  metadata: FastCheck.option(metadata),
  absent: FastCheck.boolean()
}).map(({ absent, amount, currency, metadata, ...ids }) => ({
  json: {
    ...ids,
    total_amount: amount.json,
    ...(currency === null && absent ? {} : { currency }),
    ...(metadata === null && absent ? {} : { metadata })
  },
  content: {
    order_id: String(ids.order_id),
    user_id: String(ids.user_id),
    item_ids: ids.item_ids.map(String),
    total_amount: amount.units,
    currency,
    metadata: JSON.stringify(metadata)
  }
}))

const validOrder = { order_id: 101, user_id: 1, item_ids: [1, 2, 3], total_amount: 250.7 }

const noId = [
  ...[0, -1, 1.5, 2 ** 53, 1e21, Number.POSITIVE_INFINITY, null, true, [], [1], {}],
  ...["", "-a", ".a", " 1", "1 ", "a b", "a\n", "a\0", "é", "\ud800", "a/b", "a".repeat(65)]
]

const noMoney = [
  ...[1e21, 1e-7, -0.01, 0.12345, 100000000000, 99999999999.99998, Number.POSITIVE_INFINITY, Number.NaN, null, true],
  ...["NaN", "Infinity", "0x10", " 1", "1 ", "1\n", "", "1.", ".5", "01", "+1", "-1", "-0", "1e3", "1,5", "1.23456"],
  ...["100000000000", "99999999999.99999", [], [1], {}]
]

const noCurrency = ["eur", "EURO", "EU", "", " EUR", "EUR\n", "ÉUR", 978, true, [], {}]

const noMetadata = [
  ...[[], [{}], "x", 1, false, { a: "x".repeat(8192) }, { a: 2 ** 53 }, { a: [{ b: Number.POSITIVE_INFINITY }] }],
  ...[JSON.parse('{"a":1e400}'), JSON.parse('{"a":-1e400}'), JSON.parse('{"a":9007199254740993}')]
]

const noItems = [[], Array.from({ length: 1001 }, () => 1), null, "1", 1, {}, { 0: 1, length: 1 }]

const bad = (field: string, values: ReadonlyArray<unknown>) =>
  FastCheck.constantFrom(...values).map((value) => ({ pointer: `/${field}`, change: { [field]: value } }))

/** One change that makes any valid order invalid, and where. */
const fault = FastCheck.oneof(
  bad("order_id", noId),
  bad("user_id", noId),
  bad("item_ids", noItems),
  bad("total_amount", noMoney),
  bad("currency", noCurrency),
  bad("metadata", noMetadata),
  FastCheck.constantFrom("order_id", "user_id", "item_ids", "total_amount").map((field) => ({
    pointer: `/${field}`,
    change: { [field]: undefined }
  })),
  FastCheck.tuple(FastCheck.array(id, { maxLength: 20 }), FastCheck.constantFrom(...noId)).map(([before, value]) => ({
    pointer: `/item_ids/${before.length}`,
    change: { item_ids: [...before, value, 1] }
  })),
  FastCheck.oneof(FastCheck.string(), FastCheck.constantFrom("status", "__proto__", "constructor", "a/b~c", ""))
    .filter((name) => !(name in validOrder) && name !== "currency" && name !== "metadata")
    .map((name) => ({
      pointer: `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`,
      change: JSON.parse(`{${JSON.stringify(name)}:1}`)
    }))
)

/** Lays a change over an order as JSON would: `__proto__` is a key like any other, `undefined` is not there. */
const changed = (order: object, change: object) => {
  const fields = Object.fromEntries([...Object.entries(order), ...Object.entries(change)])
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

describe("NewOrder", () => {
  it.prop("comes back equal when it is accepted", { sample }, ({ sample }) => {
    const order = decode(overTheWire(sample.json))
    assert.deepStrictEqual(content(order), sample.content)
    assert.deepStrictEqual(content(decode(overTheWire(encode(order)))), sample.content)
  })

  it.effect(
    "comes back equal from the database, and goes out with the same content",
    () =>
      Effect.gen(function* () {
        const repo = yield* OrdersRepo
        const seed = Date.now()
        const samples = new Map(
          FastCheck.sample(sample, { numRuns: 300, seed }).map((sample) => [sample.content.order_id, sample])
        )
        const orders = Arr.map([...samples.values()], ({ json }) => decode(overTheWire(json)))
        const inserts = orders.map((order) => Command.Insert({ order, traceparent: Option.none() }))
        if (!Arr.isNonEmptyArray(inserts)) return assert.fail("no samples")
        yield* repo.write(inserts)
        for (const order of orders) {
          const stored = yield* Effect.flatten(repo.find(order.order_id))
          const sent = samples.get(order.order_id)?.content
          assert.deepStrictEqual(content(stored), sent, `seed ${seed}`)

          const json = Schema.encodeSync(Order.json)(stored)
          const { currency = null, metadata = null, ...rest } = encode(order)
          assert.strictEqual(
            JSON.stringify({
              order_id: json.order_id,
              user_id: json.user_id,
              item_ids: json.item_ids,
              total_amount: json.total_amount,
              currency: json.currency,
              metadata: json.metadata
            }),
            JSON.stringify({ ...rest, currency, metadata })
          )
          assert.deepStrictEqual(content(Schema.decodeUnknownSync(Order.json)(overTheWire(json))), sent)
        }
      }).pipe(Effect.provide(Layer.provideMerge(sqlRepo, config()))),
    longTest
  )

  it.effect.prop("is refused at exactly the pointer that is wrong", { sample, fault }, ({ fault, sample }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* faults(changed(sample.json, fault.change)), [fault.pointer])
    })
  )

  it.effect("is refused for each bad value of each field", () =>
    Effect.gen(function* () {
      for (const [field, values] of Object.entries({
        order_id: noId,
        user_id: noId,
        item_ids: noItems,
        total_amount: noMoney,
        currency: noCurrency,
        metadata: noMetadata
      })) {
        for (const value of values) {
          const name = `${field}: ${JSON.stringify(value)}`.slice(0, 60)
          assert.deepStrictEqual(yield* faults({ ...validOrder, [field]: value }), [`/${field}`], name)
        }
      }
    })
  )

  it.effect("names all faults at once", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* faults({
          order_id: 0,
          item_ids: [1, -1, "a", null],
          total_amount: "1.",
          currency: "eur",
          metadata: [],
          discount: 1,
          "a/b": 1
        }),
        [
          "/a~1b",
          "/currency",
          "/discount",
          "/item_ids/1",
          "/item_ids/3",
          "/metadata",
          "/order_id",
          "/total_amount",
          "/user_id"
        ]
      )
    })
  )

  it.effect("is an object", () =>
    Effect.gen(function* () {
      for (const input of [null, 1, "x", true]) assert.deepStrictEqual(yield* faults(input), [""])
      assert.deepStrictEqual(yield* faults({}), ["/item_ids", "/order_id", "/total_amount", "/user_id"])
    })
  )
})

describe("ids", () => {
  const text = Schema.decodeUnknownSync(OrderIdJson)
  const json = (id: unknown) => Schema.encodeSync(OrderIdJson)(text(id))

  it("are text: a number and its digits are the same id", () => {
    assert.strictEqual<string>(text(101), "101")
    assert.strictEqual<string>(text("101"), "101")
    assert.strictEqual<string>(text("007"), "007")
    assert.strictEqual<string>(text(Number.MAX_SAFE_INTEGER), "9007199254740991")
  })

  it("go out as a JSON integer when they are one", () => {
    for (const id of [1, 101, Number.MAX_SAFE_INTEGER]) assert.strictEqual(json(String(id)), id)
    for (const id of ["007", "0", "1.0", "1e3", "9007199254740992", "9".repeat(16), "9".repeat(64), "a", "A-1._:z"]) {
      assert.strictEqual(json(id), id)
    }
  })
})

describe("money", () => {
  const units = (json: unknown) => Number(Schema.decodeUnknownSync(Money)(json))
  const json = (value: unknown) => Schema.encodeSync(Money)(Schema.decodeUnknownSync(Money)(value))

  it("is exact", () => {
    assert.strictEqual(units(0), 0)
    assert.strictEqual(units(-0), 0)
    assert.strictEqual(units("0.0000"), 0)
    assert.strictEqual(units(0.0001), 1)
    assert.strictEqual(units(0.1), 1000)
    assert.strictEqual(units(250.7), 2_507_000)
    assert.strictEqual(units("250.70"), 2_507_000)
    assert.strictEqual(units(9999999999.9999), 99_999_999_999_999)
    assert.strictEqual(units(99999999999.9999), 999_999_999_999_999)
    assert.strictEqual(json("250.70"), 250.7)
    assert.strictEqual(JSON.stringify(json("99999999999.9999")), "99999999999.9999")
  })

  it.prop("is exact for every ten-thousandth, as a number and as text", { amount }, ({ amount }) => {
    assert.strictEqual(units(overTheWire(amount.json)), amount.units)
    assert.strictEqual(units(overTheWire(json(amount.json))), amount.units)
    assert.strictEqual(Number(JSON.stringify(json(amount.json))), Number(decimal(amount.units)))
  })
})

describe("metadata", () => {
  const withMetadata = (json: string) => ({ ...validOrder, metadata: JSON.parse(json) })

  it.effect("is limited to 8 KiB of UTF-8", () =>
    Effect.gen(function* () {
      const ofBytes = (bytes: number, letter: string) => {
        const room = bytes - '{"a":""}'.length
        const letters = letter.repeat(Math.floor(room / Buffer.byteLength(letter)))
        return `{"a":"${letters}${"x".repeat(room - Buffer.byteLength(letters))}"}`
      }
      for (const letter of ["x", "é", "€", "😀"]) {
        const largest = ofBytes(8192, letter)
        assert.strictEqual(content(decode(withMetadata(largest))).metadata, largest)
        assert.deepStrictEqual(yield* faults(withMetadata(ofBytes(8193, letter))), ["/metadata"])
      }
    })
  )

  it("keeps every key", () => {
    const json = '{"__proto__":{"a":1},"constructor":2,"":{"__proto__":null}}'
    const order = decode(withMetadata(json))
    assert.strictEqual(content(order).metadata, json)
    assert.strictEqual(JSON.stringify(encode(order).metadata), json)
  })
})

describe("transitions", () => {
  it("are the legal changes of status and no others", () => {
    const moves = Object.values(transitions).flatMap(({ from, to }) => from.map((from) => `${from} -> ${to}`))
    assert.deepStrictEqual([...new Set(moves)].sort(), [
      "Cancelled -> Pending",
      "Failed -> Pending",
      "Pending -> Cancelled",
      "Pending -> Processing",
      "Processing -> Cancelled",
      "Processing -> Completed",
      "Processing -> Failed",
      "Processing -> Pending"
    ])
    assert.deepStrictEqual(
      Object.entries(transitions).flatMap(([name, { from }]) => (from.length === 0 ? [name] : [])),
      ["accept"]
    )
    assert.strictEqual(transitions.accept.to, "Pending")
  })

  it("reach every status, and only someone's asking leads out of a final one", () => {
    const reached = new Set<Status>(Object.values(transitions).map(({ to }) => to))
    assert.deepStrictEqual([...reached].sort(), [...Status.literals].sort())
    for (const [name, { from }] of Object.entries(transitions)) {
      assert.strictEqual(
        from.some((status) => isFinal(status)),
        name === "reopen",
        name
      )
    }
    assert.deepStrictEqual(
      Status.literals.filter((status) => isFinal(status)),
      ["Completed", "Failed", "Cancelled"]
    )
  })
})
