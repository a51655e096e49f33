import { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
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

const read = (
  body: string | Buffer | ReadonlyArray<string | Buffer>,
  headers: IncomingMessage["headers"] = {},
  lines = false
) => readBody(request(headers, Array.isArray(body) ? body : [body]), { limit, lines })

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
        const error = yield* Effect.flip(readBody(incoming, { limit, lines: false }))
        assert.strictEqual(error._tag, "UnsupportedMediaType")
        if (error._tag === "UnsupportedMediaType") assert.match(error.detail, new RegExp(detail))
        assert.strictEqual(incoming.listenerCount("data"), 0)
      })
    )
  }

  it.effect("may be lines of JSON where those are taken, which are not parsed yet", () =>
    Effect.gen(function* () {
      const body = yield* read('{"a":1}\r\n\n  \n{not JSON\n', { "content-type": "application/x-ndjson" }, true)
      assert.deepStrictEqual(body, Body.Lines({ lines: ['{"a":1}\r', "{not JSON"] }))
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
      assert.deepInclude(yield* Effect.flip(readBody(incoming, { limit, lines: false })), {
        _tag: "BodyTooLarge",
        limit
      })
      assert.strictEqual(incoming.listenerCount("data"), 0)
    })
  )

  it.effect("is refused as soon as more has come, whatever was announced", () =>
    Effect.gen(function* () {
      const incoming = request({ "content-length": "1" }, ["x".repeat(limit), "x"], false)
      assert.deepInclude(yield* Effect.flip(readBody(incoming, { limit, lines: false })), {
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
      const reading = yield* Effect.fork(Effect.flip(readBody(incoming, { limit, lines: false })))
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
      const reading = yield* Effect.fork(readBody(incoming, { limit, lines: false }))
      yield* turns
      assert.isAbove(incoming.listenerCount("data"), 0)
      yield* Fiber.interrupt(reading)
      assert.strictEqual(incoming.listenerCount("data"), 0)
    })
  )

  it.effect("of many orders is an array of anything, one alone is checked", () =>
    Effect.gen(function* () {
      const deep = "[".repeat(66) + "]".repeat(66)
      const rules = { limit: 1000 }
      const many = yield* readBody(request({}, [deep]), { ...rules, lines: true })
      assert.strictEqual(many._tag, "Json")
      const error = yield* Effect.flip(readBody(request({}, [deep]), { ...rules, lines: false }))
      assert.deepInclude(error, { detail: "The body is nested deeper than 64 levels." })
    })
  )
})
