import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Malformed, parseJson } from "../src/Json.ts"
import { Excessive, fieldOf, isArray, linesOf, membersOf, type Piece, parsePiece, wholeOf } from "../src/JsonBytes.ts"

const most = 1000

const textsOf = (bytes: Buffer, pieces: ReadonlyArray<Piece>) =>
  pieces.map(({ end, start }) => bytes.toString("utf8", start, end))

const members = (text: string | Buffer) => {
  const bytes = Buffer.from(text)
  const found = membersOf(bytes, most)
  return found instanceof Malformed ? found.why : textsOf(bytes, found)
}

const lines = (text: string) => {
  const bytes = Buffer.from(text)
  return textsOf(bytes, linesOf(bytes, most))
}

const parsed = (text: string) => {
  const bytes = Buffer.from(text)
  return parsePiece(bytes, wholeOf(bytes))
}

/** JSON with any white space of JSON around each of its parts, and texts that look like what they are not. */
const blanks = fc.stringOf(fc.constantFrom(" ", "\t", "\n", "\r"), { maxLength: 3 })
const tricky = fc.oneof(
  fc.fullUnicodeString(),
  fc.stringOf(fc.constantFrom('"', "\\", ",", "[", "]", "{", "}", ":", "n"))
)
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc
    .tuple(
      blanks,
      fc.oneof(
        { maxDepth: 4 },
        fc
          .oneof(
            fc.integer(),
            fc.double({ noNaN: true, noDefaultInfinity: true }),
            fc.boolean(),
            tricky,
            fc.constant(null)
          )
          .map((value) => JSON.stringify(value)),
        fc.constantFrom('"\\ud800"', '"\\u0022"', '"\\\\"', "1e999", "[]", "{}"),
        fc.array(tie("json"), { maxLength: 4 }).map((values) => `[${values.join(",")}]`),
        fc
          .array(fc.tuple(blanks, tricky, blanks, tie("json")), { maxLength: 4 })
          .map(
            (fields) =>
              `{${fields.map(([before, name, after, value]) => `${before}${JSON.stringify(name)}${after}:${value}`).join(",")}}`
          )
      ),
      blanks
    )
    .map((parts) => parts.join(""))
}))
const array = fc
  .tuple(blanks, fc.array(json, { maxLength: 8 }), blanks, blanks)
  .map(([before, values, within, after]) => `${before}[${values.length === 0 ? within : values.join(",")}]${after}`)

describe("the members of an array", () => {
  it("are those that JSON.parse finds", () => {
    fc.assert(
      fc.property(array, (text) => {
        const found = members(text)
        assert.isArray(found)
        assert.deepStrictEqual(
          Array.from(found, (member) => JSON.parse(member)),
          JSON.parse(text)
        )
      }),
      { numRuns: 500 }
    )
  })

  it("are, of changed bytes, never all JSON unless the whole is", () => {
    const change = fc.record({
      at: fc.nat(),
      byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('"\\,[]{}: ')))
    })
    fc.assert(
      fc.property(array, fc.array(change, { minLength: 1, maxLength: 3 }), fc.boolean(), (text, changes, isCut) => {
        const bytes = Buffer.from(text)
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte
        const body = isCut ? bytes.subarray(0, (changes[0]?.at ?? 0) % bytes.length) : bytes
        const found = isArray(body) ? membersOf(body, most) : new Malformed("is no array")
        if (found instanceof Malformed) return
        const whole = parseJson(body.toString())
        const values = found.map((member) => parsePiece(body, member))
        if (whole instanceof Malformed) assert.isTrue(values.some((value) => value instanceof Malformed))
        else assert.deepStrictEqual(values, whole)
      }),
      { numRuns: 3000 }
    )
  })

  it("need not be JSON, each for itself", () => {
    assert.deepStrictEqual(members('[1,{"a":NaN}, tru ,"\\q",[1}]'), ["1", '{"a":NaN}', "tru", '"\\q"', "[1}"])
    assert.deepStrictEqual(members("\ufeff [ 1 ]\r\n"), ["1"])
    assert.deepStrictEqual(members("[\ufeff1]"), ["\ufeff1"])
    assert.instanceOf(parsed("\ufeff\ufeff1"), Malformed)
  })

  it("are none where the whole is no array", () => {
    for (const text of ["[", "[1", "[1,", '["', '["]', '["\\"]', "[[]", '[{"a":"]}', "[".repeat(100_000)]) {
      assert.strictEqual(members(text), "is not JSON: the array does not end", text.slice(0, 20))
    }
    assert.strictEqual(members("[1,,2]"), "is not JSON: there is no value before byte 3")
    assert.strictEqual(members("[,1]"), "is not JSON: there is no value before byte 1")
    assert.strictEqual(members("[1, ]"), "is not JSON: there is no value before byte 4")
    assert.strictEqual(members("[1}"), "is not JSON: nothing is open that byte 2 could close")
    assert.strictEqual(members("[1] [2]"), "is not JSON: the array ends before byte 4")
    assert.strictEqual(members("[1]\ufeff"), "is not JSON: the array ends before byte 3")
  })

  it("are looked for up to one more than may be", () => {
    assert.lengthOf(members(`[${"0,".repeat(most - 1)}0]`), most)
    assert.lengthOf(members(`[${"0,".repeat(most)}0]`), most + 1)
    assert.lengthOf(members(`[${"0,".repeat(5 * most)}`), most + 1)
  })
})

describe("lines", () => {
  const line = fc.oneof(
    blanks,
    json.map((text) => text.replaceAll(/[\r\n]/g, " ")),
    fc.constantFrom("\ufeff", '\ufeff{"a":1}', "{")
  )

  it("are those that are not blank", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (given) => {
        const text = given.join("\n")
        const expected = text.split("\n").flatMap((one) => {
          const rest = one.replace(/^\ufeff/, "").replaceAll(/^[ \t\r]+|[ \t\r]+$/g, "")
          return rest === "" ? [] : [rest]
        })
        assert.deepStrictEqual(lines(text), expected)
      }),
      { numRuns: 500 }
    )
  })

  it("are looked for up to one more than may be", () => {
    assert.lengthOf(lines("1\n".repeat(most)), most)
    assert.lengthOf(lines("1\n".repeat(5 * most)), most + 1)
    assert.deepStrictEqual(lines(" \ufeff1\n\ufeff\ufeff2"), ["\ufeff1", "\ufeff2"])
  })

  it("that are not JSON cost no more than they are long", () => {
    // Each opens a text that no line after it closes.
    const bytes = Buffer.from(`\\"${" ".repeat(700)}x\n`.repeat(2000))
    const pieces = linesOf(bytes, 10_000)
    assert.lengthOf(pieces, 2000)
    for (const piece of pieces) {
      assert.instanceOf(parsePiece(bytes, piece), Malformed)
      assert.isUndefined(fieldOf(bytes, piece, "a"))
    }
  })
})

describe("one piece", () => {
  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
  const wide = (fields: number, text = "1") =>
    `{${Array.from({ length: fields }, (_, index) => `"f${index}":${text}`).join(",")}}`

  it("is parsed as JSON.parse does", () => {
    fc.assert(
      fc.property(json, (text) => {
        assert.deepStrictEqual(parsed(text), JSON.parse(text))
      })
    )
    assert.deepStrictEqual(parsed('{"a":1,"__proto__":{"b":2},"a":3}'), JSON.parse('{"__proto__":{"b":2},"a":3}'))
  })

  it("is not parsed if it is nested too deep or has too many fields", () => {
    assert.deepStrictEqual(parsed(nested(64)), JSON.parse(nested(64)))
    assert.deepStrictEqual(parsed(nested(65)), new Excessive("is nested deeper than 64 levels"))
    assert.deepStrictEqual(parsed("[".repeat(100_000)), new Excessive("is nested deeper than 64 levels"))
    assert.deepStrictEqual(parsed(wide(100, "[1,2,{},3]")), JSON.parse(wide(100, "[1,2,{},3]")))
    assert.deepStrictEqual(parsed(` ${wide(101)}`), new Excessive("has more than 100 fields"))
    assert.deepStrictEqual(parsed(`[${wide(101)}]`), JSON.parse(`[${wide(101)}]`))
    assert.deepStrictEqual(parsed(`"${nested(100)}"`), nested(100))
  })

  it("shows the plain value of a field, wherever it stands", () => {
    const field = (text: string) => {
      const bytes = Buffer.from(text)
      return fieldOf(bytes, { start: 0, end: bytes.length }, "order_id")
    }
    assert.strictEqual(field('{"order_id":7}'), 7)
    assert.strictEqual(field('{"a":{"order_id":6},"b":"order_id", "order_id" : "x-7" ,"c":[}'), "x-7")
    assert.strictEqual(field('{"order_id":7 }'), 7)
    for (const text of [
      '{"order_id":',
      '{"order_id"',
      '{"order_id":"',
      '{"order_id":{"a":1}}',
      '{"order_id":[]}',
      "",
      "{}",
      '["order_id"]',
      '{"a":"order_id"}',
      '"order_id":1',
      `{"order_id":"${"x".repeat(2000)}"}`
    ]) {
      assert.isUndefined(field(text), text.slice(0, 20))
    }
  })
})
