import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type CliAnswer, command } from "../support/CliCommand.ts"
import { startCli } from "../support/CliProcess.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const linesOf = (text: string) => text.split("\n").filter((line) => line !== "")

const parsedLines = ({ stdout }: Pick<CliAnswer, "stdout">): ReadonlyArray<Record<string, unknown>> =>
  linesOf(stdout).map((line) => JSON.parse(line))

const submit = (url: string, id: number) => Effect.promise(() => post(url, aNewOrder(id)))

const reasonsOf = (printed: Pick<CliAnswer, "stdout">) => parsedLines(printed).map(({ reason }) => reason)

describe("orders history", { timeout: 300_000 }, () => {
  it.scopedLive("shows what happened to an order, for people and for programs", () =>
    Effect.gen(function* () {
      const settings = {
        ...{ PROCESSING_TIME: "1 millis", PROCESSING_FAILURES: "1" },
        ...{ MAX_ATTEMPTS: "2", RETRY_BASE: "1 millis" }
      }
      const { url } = yield* startService(yield* temporaryFolder, settings)
      yield* submit(url, 101)
      yield* command(["get", "101", "--wait", "20"], { url })
      yield* command(["retry", "101"], { url })
      yield* command(["get", "101", "--wait", "20"], { url })

      const twice = ["claimed", "retry_scheduled", "claimed", "failed"]
      const changes = yield* command(["history", "101", "--json"], { url })
      assert.deepStrictEqual(reasonsOf(changes), ["accepted", ...twice, "retried", ...twice], changes.stderr)
      const [accepted, , scheduled] = parsedLines(changes)
      assert.deepInclude(accepted, { order_id: 101, user_id: 7, from: null, to: "Pending", run: 0, error: null })
      assert.deepInclude(scheduled, { from: "Processing", to: "Pending", run: 1, attempt: 1 })
      assert.hasAllKeys(scheduled?.error, ["code", "message"])
      assert.isString(scheduled?.next_attempt_at)

      const table = linesOf((yield* command(["history", "101"], { url })).stdout)
      assert.lengthOf(table, 11)
      assert.match(table[0] ?? "", /^TIME +FROM +TO +REASON +RUN +ATTEMPT +NEXT ATTEMPT +BY +ERROR$/)
      const time = "\\d{4}-\\d\\d-\\d\\dT\\S+Z"
      assert.match(table[1] ?? "", new RegExp(`^${time} +Pending +accepted +0 +0$`))
      assert.match(
        table[3] ?? "",
        new RegExp(`^${time} +Processing +Pending +retry_scheduled +1 +1 +${time} +simulated: \\S`)
      )
      const unknown = yield* command(["history", "404"], { url })
      assert.deepStrictEqual(unknown, { code: 1, stdout: "", stderr: "Order 404 not found\n" })
    })
  )

  it.scopedLive("has all of them, however many", () =>
    Effect.gen(function* () {
      const settings = {
        ...{ PROCESSING_TIME: "0 millis", PROCESSING_FAILURES: "1", PROCESSING_JITTER: "0" },
        ...{ MAX_ATTEMPTS: "300", RETRY_BASE: "1 millis", RETRY_MAX: "1 millis" }
      }
      const { url } = yield* startService(yield* temporaryFolder, settings)
      yield* submit(url, 1)
      yield* until(() =>
        fetch(`${url}/api/order/1`)
          .then((response) => response.text())
          .then((text) => text.includes('"Failed"'))
      )
      const changes = yield* command(["history", "1", "--json"], { url })
      assert.strictEqual(reasonsOf(changes).filter((reason) => reason === "claimed").length, 300)
      assert.strictEqual(new Set(parsedLines(changes).map(({ id }) => id)).size, 601)
      const table = linesOf((yield* command(["history", "1"], { url })).stdout)
      assert.lengthOf(table, 602)
    })
  )
})

describe("orders watch", { timeout: 300_000 }, () => {
  it.scopedLive("shows also what happened while it had no connection, each change once", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const settings = { PROCESSING_TIME: "1 hour", ATTEMPT_TIMEOUT: "2 hours", SHUTDOWN_GRACE: "0 millis" }
      const serve = (PORT: string) => startService(folder, { ...settings, PORT })
      const first = yield* serve("0")
      const { port } = new URL(first.url)
      const watching = yield* startCli(["watch", "--order-id", "1", "--json"], { url: first.url })
      yield* until(() => watching.output.stderr.includes("Watching"))
      yield* submit(first.url, 2)
      yield* submit(first.url, 1)
      yield* until(() => watching.output.stdout.includes("claimed"))
      first.child.kill("SIGKILL")
      yield* until(() => watching.output.stderr.includes("Connection lost"))

      // Where nobody watches.
      const elsewhere = yield* serve("0")
      yield* until(async () => (await fetch(`${elsewhere.url}/api/order/1`)).status === 200)
      assert.strictEqual((yield* command(["cancel", "1"], { url: elsewhere.url })).code, 0)
      elsewhere.child.kill("SIGTERM")
      yield* elsewhere.exited

      const last = yield* serve(port)
      yield* until(() => watching.output.stdout.includes("cancelled"))
      assert.strictEqual((yield* command(["retry", "1"], { url: last.url })).code, 0)
      yield* until(() => watching.output.stdout.includes("retried"))
      assert.match(
        watching.output.stderr,
        /^Watching \S+\nConnection lost: .* Trying again\.\n(Connection lost: .*\n)*Connected again\.\n$/
      )
      const history = yield* command(["history", "1", "--json"], { url: last.url })
      const idsOf = (printed: Pick<CliAnswer, "stdout">) => parsedLines(printed).map(({ id }) => id)
      yield* until(() => idsOf(watching.output).length >= idsOf(history).length)
      assert.deepStrictEqual(idsOf(watching.output).slice(0, idsOf(history).length), idsOf(history))
      assert.includeMembers([...reasonsOf(history)], ["accepted", "claimed", "lost", "cancelled", "retried"])

      const [, claimed] = idsOf(history)
      const again = yield* startCli(["watch", "--order-id", "1", "--json", "--after", `${claimed}`], { url: last.url })
      yield* until(() => again.output.stdout.includes("retried"))
      assert.deepStrictEqual(idsOf(again.output).slice(0, 2), idsOf(history).slice(2, 4))
    })
  )

  it.scopedLive("says that changes are missing where there is no such place any more", () =>
    Effect.gen(function* () {
      const { url } = yield* startService(yield* temporaryFolder, { PROCESSING_TIME: "0 millis" })
      yield* submit(url, 1)
      const watching = yield* startCli(["watch", "--after", "1000000"], { url })
      yield* until(() => watching.output.stdout.includes("Completed"))
      assert.strictEqual(
        watching.output.stderr,
        `Watching ${url}\nSome changes are missing here: the service does not have them any more. All from 1 on follow.\n`
      )
      assert.match(watching.output.stdout, /^\S+ {2}1 {2}Pending {2}attempt 0 {2}user 7 {2}change 1\n/)
      const misused = yield* command(["watch", "--after", "yesterday"], { url })
      assert.strictEqual(misused.code, 2)
      assert.match(misused.stderr, /^watch: --after: expected the id of a change, a whole number; 0 for all\n/)
    })
  )
})
