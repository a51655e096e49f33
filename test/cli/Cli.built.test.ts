import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { splitOptions } from "../../src/cli/Words.ts"
import { type CliAnswer, command } from "../support/CliCommand.ts"
import { cli, startCli } from "../support/CliProcess.ts"
import { aNewOrder, post, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

class Running extends Context.Tag("test/Running")<Running, ServiceProcess>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.flatMap(temporaryFolder, (folder) => startService(folder, { PROCESSING_TIME: "50 millis" }))
  )
}

const parsed = (answer: CliAnswer) => {
  assert.strictEqual(answer.code, 0, answer.stderr)
  return JSON.parse(answer.stdout)
}

const parsedLines = (answer: CliAnswer) =>
  answer.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))

const anOrder = (id: string) => [
  ...["submit", "--order-id", id, "--user-id", "7", "--item", "1", "--item=2", "--amount", "9.99"],
  ...["--currency", "EUR", "--metadata", '{"gift":true}']
]

const isRefusal = (answer: CliAnswer, code: number, first: RegExp) => {
  assert.strictEqual(answer.code, code, answer.stdout + answer.stderr)
  assert.strictEqual(answer.stdout, "")
  assert.match(answer.stderr, first)
}

describe("orders", () => {
  layer(Running.layer)("against a running service", (it) => {
    it.effect("submits an order, shows it, and knows it again", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        assert.deepStrictEqual(parsed(yield* cli([...anOrder("1"), "--json"], { url })), {
          message: "Order received",
          order_id: 1
        })
        const order = parsed(yield* cli(["get", "1", "--wait", "20", "--json"], { url }))
        assert.strictEqual(order.status, "Completed")
        assert.deepStrictEqual(order.item_ids, [1, 2])
        assert.deepStrictEqual(order.metadata, { gift: true })
        assert.strictEqual(parsed(yield* command([...anOrder("1"), "--json"], { url })).status, "Completed")
        const shown = yield* cli(["get", "1"], { url })
        assert.match(shown.stdout, /^order +1\nstatus +Completed\n/)
      })
    )

    it.effect("tells a refusal in the service's words, with the places of the faults", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        yield* command(anOrder("2"), { url })
        isRefusal(
          yield* cli([...anOrder("2"), "--item", "3"], { url }),
          1,
          /^Order 2 was accepted before with .*item_ids/
        )
        for (const name of ["get", "history", "cancel", "retry"]) {
          isRefusal(yield* command([name, "404"], { url }), 1, /^Order 404 not found\n$/)
        }
        isRefusal(yield* command(["retry", "2"], { url }), 1, /^Order 2 is .*needs it to be Failed or Cancelled/)
        const order = ["submit", "--order-id", "3", "--user-id", "7", "--amount", "much"]
        isRefusal(yield* command(order, { url }), 2, /^submit: --item is missing\.\n/)
        const faulty = yield* command([...order, "--item", "1", "--item", "?"], { url })
        isRefusal(faulty, 2, /^--item \(number 2\): expected .*\n--amount: expected 0 to .*\n$/)
      })
    )

    it.effect("tells errors as problems on standard error with --json", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const problemOf = Effect.fn(function* (args: ReadonlyArray<string>, code: number, to = url) {
          const answer = yield* command([...args, "--json"], { url: to })
          isRefusal(answer, code, /^\{"type":"urn:orders:problem:[a-z-]+","title":"[^"]+",.*\}\n$/)
          return JSON.parse(answer.stderr)
        })
        const { order_id, ...missing } = yield* problemOf(["get", "404"], 1)
        assert.strictEqual(order_id, 404)
        assert.deepStrictEqual(missing, {
          ...{ type: "urn:orders:problem:order-not-found", title: "Order not found", status: 404 },
          detail: "Order 404 not found"
        })
        yield* command(anOrder("5"), { url })
        const conflict = yield* problemOf([...anOrder("5"), "--item", "3"], 1)
        assert.deepStrictEqual([conflict.status, conflict.order_id, conflict.fields], [409, 5, ["item_ids"]])
        const misused = yield* problemOf(["submit"], 2)
        assert.strictEqual(misused.type, "urn:orders:problem:misused")
        assert.include(misused.detail, "--order-id, --user-id, --item, --amount are missing")
        assert.include((yield* problemOf(["list", "--limit", "0"], 2)).detail, "--limit: expected a whole number")
        const unreachable = yield* problemOf(["metrics"], 1, "http://127.0.0.1:1")
        assert.include(unreachable.detail, "ECONNREFUSED")
        const printed = yield* cli(["get", "404", "--json"], { url })
        isRefusal(printed, 1, /^\{.*"detail":"Order 404 not found".*\}\n$/)
      })
    )

    it.scoped("submits lines and arrays of orders, and says which were not taken", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const folder = yield* temporaryFolder
        const orders = Array.from({ length: 2500 }, (_, index) => aNewOrder(10_000 + index))
        const array = Path.join(folder, "orders.json")
        yield* Effect.promise(() => Fs.writeFile(array, JSON.stringify(orders)))
        const all = yield* cli(["submit", "--file", array], { url })
        assert.strictEqual(all.stdout, "2500 accepted\n", all.stderr)

        const lines = [aNewOrder(10_000), { ...aNewOrder(10_001), user_id: 8 }, { ...aNewOrder(1), item_ids: [] }]
        const input = ["", "no JSON", ...lines.map((line) => JSON.stringify(line))].join("\n")
        const mixed = yield* cli(["submit", "--file", "-"], { url, input })
        assert.strictEqual(mixed.code, 1)
        assert.strictEqual(mixed.stdout, "0 accepted, 1 replayed, 1 conflict, 2 invalid\n")
        assert.match(mixed.stderr, /^line 2: invalid\n {2}it is not JSON.*\nline 4, order 10001: accepted before/)
        assert.match(mixed.stderr, /line 5, order 1: invalid\n {2}\/item_ids: expected/)

        const told = parsedLines(yield* cli(["submit", "--file", "-", "--json"], { url, input }))
        assert.deepStrictEqual(
          told.map(({ index, order_id, result }) => ({ index, order_id, result })),
          [
            { index: 0, order_id: null, result: "invalid" },
            { index: 1, order_id: 10_000, result: "replayed" },
            { index: 2, order_id: 10_001, result: "conflict" },
            { index: 3, order_id: 1, result: "invalid" }
          ]
        )
        isRefusal(yield* command(["submit", "--file", "nowhere"], { url }), 1, /^nowhere: ENOENT/)
        isRefusal(yield* command(["submit", "--file", "-", "--item", "1"], { url }), 2, /not both/)
      })
    )

    it.effect("lists a page, or all that fit", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const orders = Array.from({ length: 600 }, (_, index) => ({ ...aNewOrder(20_000 + index), user_id: 20 }))
        yield* cli(["submit", "--file", "-"], { url, input: JSON.stringify(orders) })
        const page = yield* cli(["list", "--user-id", "20", "--limit", "2"], { url })
        assert.match(page.stdout, /^ORDER +STATUS/)
        assert.strictEqual(page.stdout.trimEnd().split("\n").length, 3)
        assert.match(page.stderr, /There are more/)
        const all = parsedLines(yield* cli(["list", "--user-id=20", "--all", "--json"], { url }))
        assert.deepStrictEqual(
          all.map((order) => order.order_id),
          orders.map((order) => order.order_id).reverse()
        )
      })
    )

    it.scoped("watches until Ctrl-C", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const watching = yield* startCli(["watch", "--order-id", "30001", "--json"], { url })
        yield* until(() => watching.output.stderr.includes("Watching"))
        for (const id of [30_002, 30_001]) yield* Effect.promise(() => post(url, aNewOrder(id)))
        yield* until(() => watching.output.stdout.includes("Completed"))
        watching.child.kill("SIGINT")
        const answer = yield* watching.ended
        assert.strictEqual(answer.code, 130)
        assert.isTrue(parsedLines(answer).every((event) => event.order_id === 30_001))
      })
    )

    it.effect("shows the metrics", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const now = parsed(yield* command(["metrics", "--json"], { url }))
        assert.strictEqual(now.workers, 100)
        assert.match((yield* cli(["metrics"], { url })).stdout, /^orders +\d+\n {2}pending/)
      })
    )
  })

  it.scopedLive("shows failures, retries them and cancels", () =>
    Effect.gen(function* () {
      const settings = { PROCESSING_TIME: "0 millis", PROCESSING_FAILURES: "1", MAX_ATTEMPTS: "1" }
      const { url } = yield* Effect.flatMap(temporaryFolder, (folder) => startService(folder, settings))
      assert.strictEqual((yield* command(["failures"], { url })).stdout, "No order is Failed.\n")
      for (const id of ["1", "2"]) {
        yield* command(anOrder(id), { url })
        assert.match((yield* command(["get", id, "--wait", "20"], { url })).stdout, /last error +simulated/)
      }
      const [failure] = parsed(yield* command(["failures", "--json"], { url })).failures
      assert.deepStrictEqual([failure.error_code, failure.count], ["simulated", 2])
      assert.match((yield* cli(["failures"], { url })).stdout, /simulated +2 /)

      isRefusal(yield* command(["retry"], { url }), 2, /give an order's id/)
      isRefusal(yield* command(["retry", "1", "--all"], { url }), 2, /not both/)
      isRefusal(yield* command(["retry", "--all"], { url }), 2, /Say --yes/)
      assert.strictEqual(parsed(yield* command(["retry", "1", "--json"], { url })).status, "Pending")
      yield* command(["get", "1", "--wait", "20"], { url })
      const retried = yield* cli(["retry", "--error-code", "simulated", "--yes", "--json"], { url })
      assert.deepStrictEqual(parsed(retried), { retried: 2 })
      yield* command(["get", "2", "--wait", "20"], { url })
      isRefusal(yield* command(["cancel", "2"], { url }), 1, /needs it to be Pending or Processing/)
    })
  )

  it.scopedLive("cancels", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.flatMap(temporaryFolder, (folder) =>
        startService(folder, { PROCESSING_TIME: "1 minute", ATTEMPT_TIMEOUT: "2 minutes", SHUTDOWN_GRACE: "0 millis" })
      )
      yield* command(anOrder("1"), { url })
      assert.strictEqual(parsed(yield* cli(["cancel", "1", "--json"], { url })).status, "Cancelled")
      assert.strictEqual(parsed(yield* command(["retry", "--status", "Cancelled", "-y", "--json"], { url })).retried, 1)
    })
  )

  it.scopedLive("serves as npm start does", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const serving = yield* startCli(["serve"], { folder, env: { PORT: "0", LOG_FORMAT: "json" } })
      yield* until(() => serving.output.stdout.includes("Listening on"))
      const url = /Listening on (http:[^"]+)/.exec(serving.output.stdout)?.[1] ?? ""
      yield* command(anOrder("1"), { url })
      serving.child.kill("SIGTERM")
      assert.strictEqual((yield* serving.ended).code, 0)
      const refused = yield* cli(["serve"], { folder, env: { PORT: "http" } })
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /^PORT: given "http"/)
    })
  )

  it.live("says how to reach a service when there is none", () =>
    Effect.gen(function* () {
      const url = "http://127.0.0.1:1"
      const how =
        /^No order service answers at http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)\. Start it with `orders serve`.*\n$/
      for (const args of [["metrics"], ["watch"], ["simulate"], ["get", "1"]])
        isRefusal(yield* command(args, { url }), 1, how)
    })
  )

  it.live("answers what it does not understand on standard error, with 2", () =>
    Effect.gen(function* () {
      isRefusal(yield* cli(["bogus"]), 2, /^orders: there is no command bogus\. There are submit, get, .*simulate\.\n$/)
      isRefusal(yield* command(["get"]), 2, /^get: .*<id>\nSee orders get --help\.\n$/)
      isRefusal(yield* command(["list", "--limit=0"]), 2, /--limit: expected a whole number from 1 to 500/)
    })
  )

  it.live("does not understand values out of range, and names of nothing", () =>
    Effect.gen(function* () {
      isRefusal(yield* command(["get", "!"]), 2, /expected a positive whole number/)
      for (const limit of ["0", "501", "0x10", "+5", "1e1", "05", "-1"]) {
        isRefusal(yield* command(["list", `--limit=${limit}`]), 2, /--limit: expected a whole number from 1 to 500/)
      }
      isRefusal(yield* command(["get", "1", "--wait", "1e1"]), 2, /--wait: expected 0 to 30 seconds/)
      isRefusal(
        yield* command(["simulate", "--orders", "0x10"]),
        2,
        /--orders: expected a whole number from 1 to 1000000/
      )
      for (const time of ["5", "-1", "03/04/2020", "2027-02-30", "2026-01-31T12:00"]) {
        isRefusal(yield* command(["list", "--accepted-after", time]), 2, /--accepted-after: expected a date such as/)
        isRefusal(yield* command(["retry", "--accepted-before", time]), 2, /--accepted-before: expected a date such as/)
      }
      isRefusal(
        yield* command(["list", "--status", "failed"]),
        2,
        /^list: --status: expected one of Pending, Processing/
      )
      isRefusal(yield* command(["list", "--nonsense"]), 2, /^list: there is no option --nonsense\.\n/)
      isRefusal(yield* command(["list", "--url", "ftp://x"]), 2, /--url/)
      isRefusal(yield* command(["list", "--url", "http://x/?a=1"]), 2, /--url/)
      isRefusal(yield* command(["get", "1", "2"]), 2, /^get: the argument 2 is not expected\.\n/)
      isRefusal(yield* command(["--completions", "tcsh"]), 2, /expected one of bash, zsh, fish/)
    })
  )

  it("takes --name=value apart, but no value and nothing after --", () => {
    const words = ["submit", "--json", "--item=1", "--item", "--item=2", "--metadata={}", "-y", "--", "--item=3"]
    const flags = new Set(["--json", "-y"])
    const split = splitOptions(words, flags)
    assert.deepStrictEqual(split.words, [
      ...["submit", "--json", "--item", "1", "--item", "--item=2", "--metadata", "{}", "-y", "--", "--item=3"]
    ])
    assert.deepStrictEqual([...split.given], ["--json", "-y"])
    assert.deepStrictEqual(splitOptions(["--json=true", "--url=a=b\nc"], flags).words, [
      ...["--json", "true", "--url", "a=b\nc"]
    ])
    assert.deepStrictEqual([...splitOptions(["get", "--item", "--json", "--", "--json"], flags).given], [])
  })
})
