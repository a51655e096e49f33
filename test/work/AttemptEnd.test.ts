import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Either, Exit } from "effect"
import { maxErrorCode } from "../../src/order/Order.ts"
import { resultOrFailure } from "../../src/work/AttemptEnd.ts"
import { Permanent } from "../../src/work/OrderProcessor.ts"

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
      ...[`${"x".repeat(110)}🛒🛒🛒${"y".repeat(99)}`, `${"x".repeat(110)}🛒🛒🛒${"z".repeat(99)}`]
    ]
    const kept = codes.map(codeOf)
    assert.strictEqual(new Set(kept).size, codes.length)
    assert.deepStrictEqual(codes.map(codeOf), kept)
    for (const code of kept) {
      assert.isAtLeast(code.length, 1)
      assert.isAtMost(code.length, maxErrorCode)
      assert.notMatch(code, /\p{Cc}|\p{Cs}/u)
    }
    assert.isTrue(codeOf(`${url}1`).startsWith("https://shop.example/errors/a/"))
  })
})
