import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { at, json } from "../Caller.ts"
import { expectStatus, held, hold, order, type Subject } from "../Subject.ts"

/** Metadata as it is sent, and as it is to come back: the text that JavaScript makes of it. */
const metadata: Record<string, string> = {
  nothing: "{}",
  NUL: '{"a\\u0000b":"\\u0000","c":"\\u0000\\u0001\\u001f\\u007f"}',
  "lone surrogates": '{"\\ud800":"\\udfff","mixed":"a\\ud83db\\ude00c","reversed":"\\ude00\\ud83d"}',
  "numbers in other forms": '{"a":1.0,"b":1e2,"c":-0,"d":-0.0,"e":1E+2,"f":0.1,"g":1.5e-7,"h":1e-400,"i":5e-324}',
  "numbers at the edges": '{"a":9007199254740991,"b":-9007199254740991,"c":4503599627370495.5}',
  "duplicate keys": '{"a":1,"b":2,"a":3,"A":4,"a ":5}',
  "keys in an order of their own": '{"z":1,"a":2,"10":3,"9":4,"__proto__":{"x":5},"constructor":6,"":7}',
  "emoji and Cyrillic": '{"имя":"Ёлка 🎄 жёлтая","👩‍👩‍👧":"👩\\u200d👩\\u200d👧","escaped":"\\u0416\\ud83d\\ude00"}',
  "letters that have two forms": '{"é":1,"e\\u0301":2,"ß":"ẞ","İ":"i̇","ﬁ":"fi"}',
  quotes: '{"a\\"b":"\\"\'`$$ \\\\ \\/ \\\\u0000 \\n\\r\\t\\b\\f","%s":"?:x $1 @p ; -- /* */"}',
  "blanks at the ends": '{" a ":" b ","c":"d \\n","e":"\\t","f":"","g":"\\u00a0\\u3000\\ufeff"}',
  "what looks like other fields": '{"order_id":"x","status":"Failed","result":null,"metadata":{"metadata":[[],{}]}}',
  "line ends beyond ASCII": '{"a":"\\u2028\\u2029\\u0085","b":"\u2028\u2029\u0085"}',
  noncharacters: '{"a":"\\ufffe\\uffff\\udbff\\udfff","b":"\ufffd"}'
}

const amounts = [
  "0",
  "-0",
  "0.0",
  '"0.0000"',
  "0.0001",
  "1.0",
  "1e2",
  "1E-4",
  '"1.10"',
  "99999999999",
  "99999999999.9999",
  '"99999999999.9999"',
  "99999999999.99991",
  "0.1",
  "0.30000000000000004",
  "4503599627370.4961",
  '"9999999999.9999"'
]

const ids = [
  "1",
  "9007199254740991",
  "9007199254740992",
  "007",
  "a",
  "A",
  "aB",
  "Ab",
  "a.",
  "a-",
  "a_",
  "a:",
  "a.b_c:d-e",
  "1e2",
  "1.0",
  "0x10",
  "null",
  "NULL",
  "true",
  "x".repeat(64),
  `${"x".repeat(63)}X`,
  `0${":".repeat(63)}`
]

const with_ = (id: string, field: string, value: string) =>
  JSON.stringify(order(id, { [field]: null })).replace(`"${field}":null`, () => `"${field}":${value}`)

export const submit: Subject = {
  title: "an order that is submitted",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, post, send } = caller
      yield* hold(caller)
      const postText = (body: string) => send({ method: "POST", path: "/api/order", headers: json, body })

      for (const [name, value] of Object.entries(metadata)) {
        const id = name.replaceAll(" ", ".")
        const body = with_(id, "metadata", value)
        expectStatus(202)(yield* postText(body))
        const found = yield* get(`/api/order/${id}`)
        assert.include(found.text, `"metadata":${JSON.stringify(JSON.parse(value))},`)
        const again = yield* postText(body)
        assert.strictEqual(again.status, 200, name)
      }

      for (const [index, amount] of amounts.entries()) {
        const id = `amount-${index}`
        const { status } = yield* postText(with_(id, "total_amount", amount))
        if (status === 202) {
          assert.strictEqual(at(yield* get(`/api/order/${id}`), "total_amount"), Math.abs(Number(JSON.parse(amount))))
        } else assert.strictEqual(status, 422, amount)
      }

      for (const id of ids) {
        const accepted = yield* post("/api/order", order(id, { user_id: id, item_ids: [id, "b", id] }))
        expectStatus(202)(accepted)
        const found = yield* get(String(accepted.headers.location))
        assert.strictEqual(String(at(found, "order_id")), id)
        assert.strictEqual(String(at(found, "user_id")), id)
        assert.deepStrictEqual([String(at(found, "item_ids", 2)), at(found, "status")], [id, "Pending"])
      }
      for (const id of ["1 ", " 1", "a ", "a\u0000", "ä", "", "-a", ".", `${"x".repeat(65)}`, 1.5, 0, -1, null, true]) {
        expectStatus(422)(yield* post("/api/order", order(id)))
      }
      for (const number of ["1.0", "1e2", "9007199254740993"]) yield* postText(with_("a", "user_id", number))

      const every = order("every-field", {
        user_id: "Shop:7",
        item_ids: [3, "3", "sku-3", 1, 3],
        total_amount: "0.10",
        currency: "EUR",
        metadata: { note: "пожалуйста", gift: true }
      })
      expectStatus(202)(yield* post("/api/order", every))
      assert.include(
        (yield* get("/api/order/every-field")).text,
        '{"order_id":"every-field","status":"Pending","user_id":"Shop:7","item_ids":[3,3,"sku-3",1,3],"total_amount":0.1,' +
          '"currency":"EUR","metadata":{"note":"пожалуйста","gift":true},"attempts":0,'
      )

      const itemIds = Array.from({ length: 1000 }, (_, index) => String(index).padStart(57, "item"))
      const most = JSON.stringify(order("most-items", { item_ids: itemIds }))
      expectStatus(202)(yield* postText(most.padEnd(65_536)))
      assert.deepStrictEqual(at(yield* get("/api/order/most-items"), "item_ids"), itemIds)
      // 8 KiB, with eight bytes around it.
      const cyrillic = "ж".repeat(4092)
      expectStatus(202)(yield* post("/api/order", order("most-metadata", { metadata: { a: cyrillic } })))
      assert.strictEqual(at(yield* get("/api/order/most-metadata"), "metadata", "a"), cyrillic)
      // Each NUL is six characters in JSON.
      const nul = "\u0000".repeat(1364)
      expectStatus(202)(yield* post("/api/order", order("most-NUL", { metadata: { a: nul } })))
      assert.strictEqual(at(yield* get("/api/order/most-NUL"), "metadata", "a"), nul)
      expectStatus(422)(yield* post("/api/order", order("too-much", { metadata: { a: `${cyrillic}ж` } })))
      expectStatus(413)(yield* postText(most.padEnd(65_537)))
    })
}
