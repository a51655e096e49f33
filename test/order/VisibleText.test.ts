import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { visible, visibleJson, visibleLines } from "../../src/order/VisibleText.ts"

/** None of it is seen, or it steers a terminal or the order of what is shown. */
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

/** Any UTF-16 code units, of which many are of those. */
const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
      fc.constantFrom(
        "\u001b[31m",
        "\u009b",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u2028",
        "\n",
        "\\",
        '"',
        "\u{e0041}",
        "\ud83d"
      )
    )
  )
  .map((parts) => parts.join(""))

describe("a text from outside", () => {
  it("shows what would not be seen, or would steer a terminal", () => {
    for (const [raw, shown] of [
      ["a\u001b[31m\u009b31mb", "a\\u001b[31m\\u009b31mb"],
      ["a\nb\r\tc\u0000\u007f", "a\\nb\\r\\tc\\u0000\\u007f"],
      ["\u061c\u200e\u200f\u202a\u202e\u2066\u2069", "\\u061c\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069"],
      ["\u2028\u2029\u200b\ufeff\u00ad\u3164", "\\u2028\\u2029\\u200b\\ufeff\\u00ad\\u3164"],
      ["\u{e0041}\u{e0100}", "\\u{e0041}\\u{e0100}"],
      ["\ud83d|\ude00|😀", "\\ud83d|\\ude00|😀"],
      ["👩\u200d💻", "👩\\u200d💻"]
    ] as const) {
      assert.strictEqual(visible(raw), shown)
    }
  })

  it("keeps letters, marks, blanks and signs of any script", () => {
    for (const raw of [
      "",
      "Grüße, 9.99 €",
      "שלום עולם",
      "مرحبا",
      "हिन्दी",
      "e\u0301",
      "日本語 🛒",
      "C:\\u009b",
      "a\u00a0b"
    ]) {
      assert.strictEqual(visible(raw), raw)
      assert.strictEqual(visibleJson(raw), raw)
    }
  })

  it("has nothing hidden left, whatever it was", () => {
    fc.assert(
      fc.property(text, (raw) => {
        assert.notMatch(visible(raw), hidden)
        assert.notMatch(visibleLines(raw).replaceAll("\n", ""), hidden)
        assert.strictEqual(visibleLines(raw).split("\n").length, raw.split("\n").length)
        assert.strictEqual(visible(visible(raw)), visible(raw))
      })
    )
  })

  it("is the same in JSON in which all is seen", () => {
    fc.assert(
      fc.property(fc.oneof(text, fc.dictionary(text, text)), fc.constantFrom(undefined, 2), (value, indent) => {
        const json = visibleJson(JSON.stringify(value, undefined, indent))
        assert.notMatch(json.replaceAll("\n", ""), hidden)
        assert.deepStrictEqual(JSON.parse(json), JSON.parse(JSON.stringify(value)))
      })
    )
  })

  // Time that grows with the square of the length would be minutes.
  it("of 200,000 characters is read in one pass", () => {
    for (const unit of [" ", "\u001b[", "\u202e", "\n", "\r\n", "\u{e0041}", "\\", "👩\u200d"]) {
      const long = `${unit.repeat(200_000 / unit.length)}x`
      for (const show of [visible, visibleLines, visibleJson]) assert.isAtLeast(show(long).length, long.length)
    }
  })
})
