import { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { type BodyRules, bodyBytes, bulkBodyBytes } from "../../src/api/BodyRules.ts"
import { makeBodyBudget } from "../../src/http/BodyBudget.ts"
import { Body, readBody } from "../../src/http/RequestBody.ts"
import { turns } from "../support/Until.ts"

const limit = 100

/** A request that has come as far as these chunks; `end` tells whether that is all of it. */
const request = (headers: IncomingMessage["headers"], chunks: ReadonlyArray<string | Buffer>, end = true) => {
  const incoming = Object.assign(new IncomingMessage(new Socket()), { headers })
  for (const chunk of chunks) incoming.push(chunk)
  if (end) incoming.push(null)
  return incoming
}

/** With room for it. */
const readIn = (incoming: IncomingMessage, rules: BodyRules["Type"]) =>
  readBody(incoming, rules, makeBodyBudget()(rules.limit))

const read = (
  body: string | Buffer | ReadonlyArray<string | Buffer>,
  headers: IncomingMessage["headers"] = {},
  lines = false
) => readIn(request(headers, Array.isArray(body) ? body : [body]), { limit, lines })

const texts = (body: Body) =>
  body._tag === "Many" ? body.pieces.map(({ end, start }) => body.bytes.toString("utf8", start, end)) : []

const refusal = (...args: Parameters<typeof read>) => Effect.flip(read(...args))

describe("the media type of a body", () => {
  for (const type of [
    "application/json",
    "APPLICATION/JSON",
    "application/json;charset=utf-8",
    'application/json; charset="UTF-8"',
    "application/json ; profile=x; charset=utf8"
  ]) {
    it.effect(`may be ${type}`, () =>
      Effect.map(read("[1]", { "content-type": type }), (body) =>
        assert.deepStrictEqual(body, Body.Json({ value: [1] }))
      )
    )
  }

  it.effect("is JSON where none is given", () =>
    Effect.map(read("[1]"), (body) => assert.deepStrictEqual(body, Body.Json({ value: [1] })))
  )

  for (const [headers, detail] of [
    [{ "content-type": "text/plain" }, 'Send the body as Content-Type: application/json, not "text/plain".'],
    [{ "content-type": "application/json-foo" }, /not "application\/json-foo"/],
    [{ "content-type": "application/x-ndjson" }, /^Send the body as Content-Type: application\/json, not/],
    [{ "content-type": "" }, /not ""/],
    [{ "content-type": "application/json; charset=latin1" }, "Send the JSON in UTF-8."],
    [{ "content-type": "application/json; x=y; Charset = utf-16" }, "Send the JSON in UTF-8."],
    [{ "content-encoding": "gzip" }, "Send the body without a Content-Encoding."]
  ] as const) {
    it.effect(`is refused as ${JSON.stringify(headers)}, before anything is read`, () =>
      Effect.gen(function* () {
        const incoming = request(headers, [], false)
        const error = yield* Effect.flip(readIn(incoming, { limit, lines: false }))
        assert.strictEqual(error._tag, "UnsupportedMediaType")
        if (error._tag === "UnsupportedMediaType") assert.match(error.detail, new RegExp(detail))
        assert.strictEqual(incoming.listenerCount("data"), 0)
      })
    )
  }

  it.effect("may be lines of JSON where those are taken, which are not parsed yet", () =>
    Effect.gen(function* () {
      const body = yield* read('{"a":1}\r\n\n  \n{not JSON\n', { "content-type": "application/x-ndjson" }, true)
      assert.deepStrictEqual(texts(body), ['{"a":1}', "{not JSON"])
      const error = yield* refusal("", { "content-type": "text/csv" }, true)
      assert.deepInclude(error, {
        detail: 'Send the body as Content-Type: application/json or application/x-ndjson, not "text/csv".'
      })
    })
  )
})

describe("the size of a body", () => {
  const text = (length: number) => JSON.stringify("x".repeat(length - 2))

  it.effect("is as it is, whatever the chunks are", () =>
    Effect.gen(function* () {
      const whole = text(limit)
      assert.deepStrictEqual(
        yield* read([whole.slice(0, 40), whole.slice(40)]),
        Body.Json({ value: JSON.parse(whole) })
      )
      const [first, second] = [Buffer.from('"€"').subarray(0, 2), Buffer.from('"€"').subarray(2)]
      assert.deepStrictEqual(yield* read([first, second]), Body.Json({ value: "€" }))
    })
  )

  it.effect("is refused by what is announced, before anything is read", () =>
    Effect.gen(function* () {
      const incoming = request({ "content-length": String(limit + 1) }, [], false)
      assert.deepInclude(yield* Effect.flip(readIn(incoming, { limit, lines: false })), {
        _tag: "BodyTooLarge",
        limit
      })
      assert.strictEqual(incoming.listenerCount("data"), 0)
    })
  )

  it.effect("is refused as soon as more has come, whatever was announced", () =>
    Effect.gen(function* () {
      const incoming = request({ "content-length": "1" }, ["x".repeat(limit), "x"], false)
      assert.deepInclude(yield* Effect.flip(readIn(incoming, { limit, lines: false })), {
        _tag: "BodyTooLarge",
        limit
      })
      assert.strictEqual(incoming.listenerCount("data"), 0)
    })
  )
})

describe("a body", () => {
  for (const [what, body, why] of [
    ["nothing", "", "is empty; send JSON"],
    ["another encoding", Buffer.from([0x22, 0xe9, 0x22]), "is not UTF-8"]
  ] as const) {
    it.effect(`of ${what} is refused, and why is told`, () =>
      Effect.map(refusal(body), (error) =>
        assert.deepInclude(error, { _tag: "MalformedRequest", detail: `The body ${why}.` })
      )
    )
  }

  it.effect("that ends early is refused, and nothing listens to it any more", () =>
    Effect.gen(function* () {
      const incoming = request({}, ["[1"], false)
      const reading = yield* Effect.fork(Effect.flip(readIn(incoming, { limit, lines: false })))
      yield* turns
      incoming.destroy()
      assert.deepInclude(yield* Fiber.join(reading), {
        _tag: "MalformedRequest",
        detail: "The connection closed before the body was complete."
      })
      assert.strictEqual(incoming.listenerCount("data"), 0)
    })
  )

  it.effect("is read no further when nobody waits for it", () =>
    Effect.gen(function* () {
      const incoming = request({}, ["[1"], false)
      const reading = yield* Effect.fork(readIn(incoming, { limit, lines: false }))
      yield* turns
      assert.isAbove(incoming.listenerCount("data"), 0)
      yield* Fiber.interrupt(reading)
      assert.strictEqual(incoming.listenerCount("data"), 0)
    })
  )

  it.effect("of small chunks takes no more memory than its bytes", () =>
    Effect.gen(function* () {
      const size = 200_000
      const chunks = Array.from({ length: size }, () => Buffer.from(" "))
      const rules = { limit: size, lines: false }
      const error = yield* Effect.flip(readIn(request({}, chunks), rules))
      assert.deepInclude(error, { _tag: "MalformedRequest" })
      const value = yield* readIn(request({}, [...chunks.slice(2), Buffer.from("1"), Buffer.from("2")]), rules)
      assert.deepStrictEqual(value, Body.Json({ value: 12 }))
    })
  )

  it.effect("of many orders is an array of anything, one alone is checked", () =>
    Effect.gen(function* () {
      const deep = "[".repeat(66) + "]".repeat(66)
      const rules = { limit: 1000 }
      const many = yield* readIn(request({}, [deep]), { ...rules, lines: true })
      assert.deepStrictEqual(texts(many), [deep.slice(1, -1)])
      const error = yield* Effect.flip(readIn(request({}, [deep]), { ...rules, lines: false }))
      assert.deepInclude(error, { detail: "The body is nested deeper than 64 levels." })
    })
  )
})

describe("the memory for bodies", () => {
  const megabyte = 1024 * 1024
  const lines = { "content-type": "application/x-ndjson" }
  const bulk = { limit: 8 * megabyte, lines: true }
  const single = { limit: 65_536, lines: false }

  it.effect("is counted as the bytes arrive, and free again when the request has ended", () =>
    Effect.gen(function* () {
      const hold = makeBodyBudget()
      const full = hold(bulk.limit)
      assert.isTrue(full.add(bulkBodyBytes - 10))
      const send = (text: string) => {
        const holding = hold(bulk.limit)
        return Effect.ensuring(
          readBody(request(lines, [text.slice(0, 4), text.slice(4)]), bulk, holding),
          Effect.sync(holding.end)
        )
      }
      for (let call = 0; call < 3; call++) assert.lengthOf(texts(yield* send("1234567890")), 1)
      for (let call = 0; call < 3; call++) {
        assert.deepInclude(yield* Effect.flip(send("12345678901")), { _tag: "TooManyBytes", retry_after: 1 })
      }
      full.end()
      full.end()
      assert.lengthOf(texts(yield* send("12345678901")), 1)
      const all = hold(bulk.limit)
      assert.isTrue(all.add(bulkBodyBytes))
      assert.isFalse(all.add(1))
    })
  )

  it.effect("has room for single orders when large bodies have taken theirs, up to the whole", () =>
    Effect.gen(function* () {
      const hold = makeBodyBudget()
      const large = Array.from({ length: bulkBodyBytes / bulk.limit }, () => hold(bulk.limit))
      for (const holding of large) assert.isTrue(holding.add(bulk.limit))
      assert.isFalse(hold(bulk.limit).add(1))
      const small = hold(single.limit)
      assert.deepStrictEqual(yield* readBody(request({}, ["[1]"]), single, small), Body.Json({ value: [1] }))
      small.end()
      const others = Array.from({ length: (bodyBytes - bulkBodyBytes) / single.limit }, () => hold(single.limit))
      for (const holding of others) assert.isTrue(holding.add(single.limit))
      const one = Effect.flip(readBody(request({}, ["[1]"]), single, hold(single.limit)))
      assert.deepInclude(yield* one, { _tag: "TooManyBytes" })
    })
  )
})
