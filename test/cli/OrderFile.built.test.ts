import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { Chunk, Context, Effect, Layer, Stream } from "effect"
import { type OrderText, readOrders } from "../../src/cli/OrderFile.ts"
import { piecesOf } from "../../src/cli/Pieces.ts"
import { type CliAnswer, command } from "../support/CliCommand.ts"
import { cli } from "../support/CliProcess.ts"
import { aNewOrder, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

/** What is read of such a file. */
const read = (content: Buffer) =>
  Effect.gen(function* () {
    const file = Path.join(yield* temporaryFolder, "orders")
    yield* Effect.promise(() => Fs.writeFile(file, content))
    const parts = yield* Stream.runCollect(readOrders(file))
    return Chunk.toReadonlyArray(parts).flat()
  }).pipe(Effect.scoped)

const entry = (place: string, text: string): OrderText => ({ place, text, fault: null })

async function* cut(content: Buffer, size: number) {
  for (let begin = 0; begin < content.length; begin += size) yield content.subarray(begin, begin + size)
}

const collect = async (source: AsyncIterable<Buffer>) => {
  const found: Array<readonly [string, string]> = []
  for await (const { bytes, place } of piecesOf(source)) found.push([place, bytes.toString()])
  return found
}

const swapped = (text: string) => Buffer.from(text, "utf16le").swap16()

describe("an order file", () => {
  const lines = ['{"a":"ü€😀"}', "", '{"b":1}']
  const expected = [entry("line 1", '{"a":"ü€😀"}'), entry("line 3", '{"b":1}')]
  const asText = {
    "lines end in a line feed": Buffer.from(`${lines.join("\n")}\n`),
    "the last line does not end": Buffer.from(lines.join("\n")),
    "lines end in CR LF": Buffer.from(`${lines.join("\r\n")}\r\n`),
    "UTF-8 has a byte order mark": Buffer.from(`\ufeff${lines.join("\r\n")}`),
    "UTF-16 is little-endian": Buffer.from(`\ufeff${lines.join("\r\n")}\r\n`, "utf16le"),
    "UTF-16 has no byte order mark": Buffer.from(lines.join("\n"), "utf16le"),
    "UTF-16 is big-endian": swapped(`\ufeff${lines.join("\n")}\n`)
  }
  for (const [name, content] of Object.entries(asText)) {
    it.effect(`is read right when ${name}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* read(content), expected)
      })
    )
  }

  it.effect("may be a JSON array, over lines, in each encoding", () =>
    Effect.gen(function* () {
      const text = ' [\n {"a":\n "[],{\\"x\\\\" },{"b": [1, {"c": "]"}]}\r\n]\r\n'
      const orders = [
        entry("order 1 (line 2)", '{"a":  "[],{\\"x\\\\" }'),
        entry("order 2 (line 3)", '{"b": [1, {"c": "]"}]}')
      ]
      assert.deepStrictEqual(yield* read(Buffer.from(text)), orders)
      assert.deepStrictEqual(yield* read(Buffer.from(`\ufeff${text}`)), orders)
      assert.deepStrictEqual(yield* read(Buffer.from(`\ufeff${text}`, "utf16le")), orders)
      assert.deepStrictEqual(yield* read(Buffer.from("[ ]")), [])
      assert.deepStrictEqual(yield* read(Buffer.from("\n")), [])
      assert.deepStrictEqual(
        (yield* read(Buffer.from('[{"a":\n1},,\n"x\ny",1e400,]'))).map(({ fault, place, text }) => [
          place,
          fault ?? text
        ]),
        [
          ["order 1 (line 1)", '{"a": 1}'],
          ["order 2 (line 2)", "there is nothing where a comma promises an order"],
          ["order 3 (line 3)", "it is not JSON"],
          ["order 4 (line 4)", "1e400"],
          ["order 5 (line 4)", "there is nothing where a comma promises an order"]
        ]
      )
    })
  )

  it.effect("that is not whole is refused by the line", () =>
    Effect.gen(function* () {
      const why = (text: string) => Effect.map(Effect.flip(read(Buffer.from(text))), ({ lines }) => lines.join())
      assert.match(yield* why('[{"a":1},\n{"b":'), /line 2: the JSON array does not end/)
      assert.match(yield* why("[1]\n\n[2]"), /line 3: there is more after the end of the JSON array/)
      const odd = Effect.flip(read(Buffer.from([0xff, 0xfe, 0x31, 0x00, 0x32])))
      assert.match((yield* odd).lines.join(), /begins as UTF-16 and is not/)
    })
  )

  it.effect("has each line refused that is not UTF-8, holds a NUL byte or has no end", () =>
    Effect.gen(function* () {
      const faults = (content: Buffer) =>
        Effect.map(read(content), (entries) => entries.map(({ fault, place, text }) => [place, fault ?? text]))
      const latin = yield* faults(Buffer.from('{"a":1}\n{"b":"Müller"}\n{"c":3}', "latin1"))
      assert.deepStrictEqual(
        [latin[0], latin[2]],
        [
          ["line 1", '{"a":1}'],
          ["line 3", '{"c":3}']
        ]
      )
      assert.match(String(latin[1]), /^line 2,it is not UTF-8/)
      const array = yield* faults(Buffer.from('[{"a":1},\n{"b":"Müller"}]', "latin1"))
      assert.match(String(array[1]), /^order 2 \(line 2\),it is not UTF-8/)
      // A surrogate alone, an overlong slash, a letter cut off.
      for (const bytes of [[0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xc3]]) {
        const bad = Buffer.concat([Buffer.from('"'), Buffer.from(bytes), Buffer.from('"\n1')])
        assert.match(String((yield* faults(bad))[0]), /^line 1,it is not UTF-8/)
      }
      assert.match(String(yield* faults(Buffer.from('{"a":"\0"}'))), /^line 1,it holds a NUL byte/)
      const utf32 = Buffer.from("\ufeff\0{\0", "utf16le")
      assert.match(String((yield* faults(utf32))[0]), /^line 1,it holds a NUL byte/)
      const long = Buffer.concat([Buffer.alloc(3_000_000, "x"), Buffer.from("\n1")])
      assert.deepStrictEqual(yield* faults(long), [
        ["line 1", "it is far longer than an order may be"],
        ["line 2", "1"]
      ])
    })
  )

  it("is the same wherever its bytes are cut", async () => {
    const text = '\ufeff[\r\n{"ü":"\\"]"},\n[1, 2], "😀"\n]\n'
    const lines = "\ufeff\n{}\r\n\n[]ü\n"
    for (const content of [Buffer.from(text), Buffer.from(text, "utf16le"), Buffer.from(lines), swapped(text)]) {
      const whole = await collect(cut(content, content.length))
      assert.isAtLeast(whole.length, 3)
      for (const size of [1, 2, 3, 5]) assert.deepStrictEqual(await collect(cut(content, size)), whole)
    }
  })
})

class Running extends Context.Tag("test/Running")<Running, ServiceProcess>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.flatMap(temporaryFolder, (folder) => startService(folder, { PROCESSING_TIME: "0 millis" }))
  )
}

describe("orders submit --file", { timeout: 300_000 }, () => {
  layer(Running.layer)((it) => {
    const named = (id: number, name: string) => JSON.stringify({ ...aNewOrder(id), metadata: { name } })

    const storedName = (url: string, id: number) =>
      Effect.promise(async () => {
        const order: { metadata: { name: string } } = JSON.parse(await (await fetch(`${url}/api/order/${id}`)).text())
        return order.metadata?.name
      })

    it.scoped("stores no letter that the file does not hold, and tells the lines that it refuses", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const file = Path.join(yield* temporaryFolder, "orders")
        const submit = (content: Buffer, ...args: ReadonlyArray<string>) =>
          Effect.zipRight(
            Effect.promise(() => Fs.writeFile(file, content)),
            command(["submit", "--file", file, ...args], { url })
          )
        const latin1 = Buffer.from([named(1, "Muller"), named(2, "Müller"), named(3, "Meier")].join("\n"), "latin1")
        const refused = yield* submit(latin1)
        assert.deepStrictEqual([refused.code, refused.stdout], [1, "2 accepted, 1 invalid\n"])
        assert.match(refused.stderr, /^line 2: invalid\n {2}it is not UTF-8, .*iconv.*\n$/)
        const told = (yield* submit(latin1, "--json")).stdout.trimEnd().split("\n")
        assert.deepStrictEqual(
          told.map((line) => JSON.parse(line)).map(({ index, order_id, result }) => [index, order_id, result]),
          [
            [0, 1, "replayed"],
            [1, null, "invalid"],
            [2, 3, "replayed"]
          ]
        )
        const utf16 = yield* submit(Buffer.from(`\ufeff${named(4, "Müller")}\r\n${named(5, "Łódź 😀")}\r\n`, "utf16le"))
        assert.deepStrictEqual([utf16.code, utf16.stdout, utf16.stderr], [0, "2 accepted\n", ""])
        assert.strictEqual(yield* storedName(url, 4), "Müller")
        assert.strictEqual(yield* storedName(url, 5), "Łódź 😀")
      })
    )

    it.effect("reads standard input alike", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const submit = (input: string | Buffer) => cli(["submit", "--file", "-"], { url, input })
        const isTaken = ({ code, stderr, stdout }: CliAnswer) =>
          assert.deepStrictEqual([code, stdout, stderr], [0, "2 accepted\n", ""])
        isTaken(yield* submit(Buffer.from(`\ufeff${named(11, "Ü")}\r\n\r\n${named(12, "Ö")}`, "utf16le").swap16()))
        isTaken(yield* submit(`\ufeff[\n${named(13, "Ü")},\n${named(14, "Ö")}\n]`))
        const cutOff = yield* submit(`[${named(15, "a")}`)
        assert.deepStrictEqual([cutOff.code, cutOff.stdout], [1, ""])
        assert.match(cutOff.stderr, /^Standard input: line 1: the JSON array does not end/)
        assert.match((yield* submit("\n \n")).stderr, /^submit: there are no orders in that file/)
      })
    )
  })
})
