import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Duration, Either, Exit, FiberId, Option } from "effect"
import { maxDepth } from "../../src/Json.ts"
import { maxErrorCode } from "../../src/order/Order.ts"
import { resultOrFailure, TimedOut } from "../../src/work/AttemptEnd.ts"
import { maxResult, Permanent, Retryable, Unavailable } from "../../src/work/OrderProcessor.ts"

const codeOf = (code: string) =>
  Either.match(resultOrFailure(Exit.fail(new Permanent({ code, message: "no" }))), {
    onLeft: (failure) => failure.code,
    onRight: () => assert.fail("it has succeeded")
  })

describe("the code of an error", () => {
  it("is kept exactly as long as it is no longer than the longest", () => {
    for (const code of [
      "out_of_stock",
      "Card declined",
      "ausverkauft 🛒",
      "https://shop.example/errors/x",
      "x".repeat(maxErrorCode)
    ]) {
      assert.strictEqual(codeOf(code), code)
    }
  })

  it("is never that of another, however they begin and whatever has to be replaced in them", () => {
    const url = `https://shop.example/errors/${"a/".repeat(100)}`
    const codes = [
      ...Arr.makeBy(50, (index) => `${url}${index}`),
      ...["x".repeat(maxErrorCode + 1), "x".repeat(maxErrorCode + 2), "x".repeat(maxErrorCode)],
      ...["a\u0000", "a\u0001", "a\ufffd", "a\ud800", "a\udfff", "a", ""],
      ...["a\u202e", "a\u2066", "a\u200b", "a\ufeff", "a\u2028", "a\u2029", "a\u{e0041}", "a\u009b"],
      ...[`${"x".repeat(110)}🛒🛒🛒${"y".repeat(99)}`, `${"x".repeat(110)}🛒🛒🛒${"z".repeat(99)}`]
    ]
    const kept = codes.map(codeOf)
    assert.strictEqual(new Set(kept).size, codes.length)
    assert.deepStrictEqual(codes.map(codeOf), kept)
    for (const code of kept) {
      assert.isAtLeast(code.length, 1)
      assert.isAtMost(code.length, maxErrorCode)
      assert.notMatch(code, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
    }
    assert.isTrue(codeOf(`${url}1`).startsWith("https://shop.example/errors/a/"))
  })
})

const cyclic: { self?: unknown } = {}
cyclic.self = cyclic

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])

describe("the end of an attempt", () => {
  it("is the result as JSON brings it back, or none", () => {
    for (const [value, result] of [
      [undefined, Option.none()],
      [null, Option.some(null)],
      ["", Option.some("")],
      [
        { at: new Date(0), gone: undefined, not: Number.NaN },
        Option.some({ at: "1970-01-01T00:00:00.000Z", not: null })
      ],
      ["x".repeat(maxResult - 2), Option.some("x".repeat(maxResult - 2))],
      [nested(maxDepth), Option.some(nested(maxDepth))]
    ] as const) {
      assert.deepStrictEqual(resultOrFailure(Exit.succeed(value)), Either.right(result))
    }
  })

  it("is no result that cannot be kept, which another attempt would not help", () => {
    for (const [value, why] of [
      [cyclic, "is not JSON"],
      [() => 1, "is not JSON"],
      [1n, "is not JSON"],
      ["x".repeat(maxResult - 1), `has more than ${maxResult} characters of JSON`],
      [nested(maxDepth + 1), `is nested deeper than ${maxDepth} levels`]
    ] as const) {
      assert.deepStrictEqual(
        resultOrFailure(Exit.succeed(value)),
        Either.left({
          code: "invalid_result",
          message: `The processor's result ${why}`,
          verdict: "available",
          retry: false
        })
      )
    }
  })

  const delay = Duration.seconds(7)
  const message = "no"
  for (const [what, exit, expected] of [
    [
      "Retryable",
      Exit.fail(new Retryable({ message, delay })),
      { code: "retryable", verdict: "available", retry: true, delay }
    ],
    [
      "Retryable with a code",
      Exit.fail(new Retryable({ code: "no_stock", message })),
      { code: "no_stock", verdict: "available", retry: true }
    ],
    [
      "Permanent",
      Exit.fail(new Permanent({ code: "bad", message })),
      { code: "bad", verdict: "available", retry: false }
    ],
    [
      "Unavailable",
      Exit.fail(new Unavailable({ message, delay })),
      { code: "unavailable", verdict: "unavailable", retry: true, delay }
    ],
    [
      "Unavailable and unreachable",
      Exit.fail(new Unavailable({ code: "refused", message, unreachable: true })),
      { code: "refused", verdict: "unreachable", retry: true }
    ],
    ["the end of its time", Exit.fail(new TimedOut({ message })), { code: "timeout", verdict: "unknown", retry: true }],
    ["a defect", Exit.die(new Error(message)), { code: "defect", verdict: "unknown", retry: true }],
    ["a defect that is no error", Exit.die(message), { code: "defect", verdict: "unknown", retry: true }],
    ["a failure of another kind", Exit.fail(message), { code: "defect", verdict: "unknown", retry: true }],
    [
      "an interruption",
      Exit.interrupt(FiberId.none),
      { code: "interrupted", message: "The processor interrupted itself", verdict: "unknown", retry: true }
    ]
  ] as const) {
    it(`is told from ${what}`, () => {
      const failure = Either.getOrThrow(Either.flip(resultOrFailure(exit)))
      assert.deepStrictEqual({ ...failure }, { ...failure, message, ...expected })
    })
  }

  it("keeps a kilobyte of the message, and no half a character", () => {
    const messageOf = (message: string) =>
      Either.getOrThrow(Either.flip(resultOrFailure(Exit.fail(new Retryable({ message }))))).message
    assert.strictEqual(messageOf("x".repeat(1025)), "x".repeat(1024))
    assert.strictEqual(messageOf(`${"x".repeat(1022)}€`), "x".repeat(1022))
    assert.strictEqual(messageOf(`${"x".repeat(1021)}€`), `${"x".repeat(1021)}€`)
  })
})
