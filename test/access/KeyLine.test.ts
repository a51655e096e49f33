import { assert, describe, it } from "@effect/vitest"
import { DateTime, Either, Option } from "effect"
import { formatKeyLine, parseKeyLine } from "../../src/access/KeyLine.ts"

const hash = "0f".repeat(32)

describe("The line of a key", () => {
  it("has a name, scopes and a hash", () => {
    assert.deepStrictEqual(
      parseKeyLine(`shop submit,read sha256:${hash}`),
      Either.right({
        name: "shop",
        scopes: ["submit", "read"],
        hash,
        rate: Option.none(),
        expiresAt: Option.none()
      })
    )
  })

  it("may have a rate and an end, in any order, and any blanks between", () => {
    const line = `  a.b_c-9\t operate,metrics,operate   sha256:${hash.toUpperCase()} expires=2027-01-31 rate=6000/min `
    assert.deepStrictEqual(
      parseKeyLine(line),
      Either.right({
        name: "a.b_c-9",
        scopes: ["operate", "metrics"],
        hash,
        rate: Option.some({ quota: 6000, windowSeconds: 60 }),
        expiresAt: Option.some(DateTime.unsafeMake("2027-01-31T00:00:00Z"))
      })
    )
  })

  for (const [expires, at] of [
    ["2028-02-29", "2028-02-29T00:00:00Z"],
    ["2027-01-31T12:00Z", "2027-01-31T12:00:00Z"],
    ["2027-01-31T12:00:00.5+01:00", "2027-01-31T11:00:00.5Z"]
  ] as const) {
    it(`ends at ${at} by expires=${expires}`, () => {
      const key = Either.getOrThrow(parseKeyLine(`shop read sha256:${hash} expires=${expires}`))
      assert.deepStrictEqual(key.expiresAt, Option.some(DateTime.unsafeMake(at)))
    })
  }

  for (const [line, why] of [
    ["", "name"],
    ["a/b read", "name"],
    [`${"a".repeat(65)} read sha256:${hash}`, "name"],
    ["shop", "scopes"],
    [`shop reads sha256:${hash}`, "scopes"],
    [`shop submit,,read sha256:${hash}`, "scopes"],
    [`shop submit, read sha256:${hash}`, "scopes"],
    ["shop read", "sha256"],
    [`shop read ${hash}`, "sha256"],
    [`shop read sha256:${hash}0`, "sha256"],
    ["shop read ord_abcdefghijklmnopqrstuvwxyz012345", "sha256"],
    [`shop read sha256:${hash} rate=0/s`, "rate"],
    [`shop read sha256:${hash} rate=1.5/s`, "rate"],
    [`shop read sha256:${hash} rate=100`, "rate"],
    [`shop read sha256:${hash} rate=`, "rate"],
    [`shop read sha256:${hash} expires=2027-02-30`, "expires"],
    [`shop read sha256:${hash} expires=31.1.2027`, "expires"],
    [`shop read sha256:${hash} expires=2027-01-31T12:00`, "expires"],
    [`shop read sha256:${hash} expires=2027-01-31T25:00Z`, "expires"],
    [`shop read sha256:${hash} rate=5/s=9`, "rate"],
    [`shop read sha256:${hash} rate=5/s rate=9/h`, "each once"],
    [`ord_${"a".repeat(32)} read sha256:${hash}`, "name"],
    [`shop read sha256:${hash} color=red`, "more than rate= and expires="]
  ] as const) {
    it(`is refused as ${JSON.stringify(line.slice(0, 40))}… for its ${why}`, () => {
      const message = Either.getOrThrow(Either.flip(parseKeyLine(line)))
      assert.include(message, why)
      assert.notInclude(message, "ord_")
    })
  }

  it("is read as it was written", () => {
    const line = formatKeyLine({ name: "shop", scopes: ["submit"], hash }, ["rate=5/s", "expires=2027-01-31"])
    assert.strictEqual(line, `shop submit sha256:${hash} rate=5/s expires=2027-01-31`)
    assert.isTrue(Either.isRight(parseKeyLine(line)))
  })
})
