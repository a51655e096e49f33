import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { printFields, printTable, tablePrinter } from "../../src/cli/Output.ts"
import { aNewOrder, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

class Running extends Context.Tag("test/Running")<Running, ServiceProcess>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.flatMap(temporaryFolder, (folder) =>
      startService(folder, { PROCESSING_TIME: "1 hour", ATTEMPT_TIMEOUT: "2 hours", SHUTDOWN_GRACE: "0 millis" })
    )
  )
}

/** Runs a script of bash in which `$ORDERS` is the built command line, and gives what it printed. */
const shell = (script: string, url: string, folder = ".") =>
  Effect.promise(async () => {
    const program = `${process.execPath} ${Path.resolve("dist/cli.js")}`
    const env = { PATH: process.env.PATH, ORDERS: program, ORDERS_URL: url }
    const child = spawn("bash", ["-c", script], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] })
    const output = { stdout: "", stderr: "" }
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text
    })
    await once(child, "close")
    return output
  })

const total = (url: string) =>
  Effect.promise(async () => {
    const metrics: { total_orders: number } = JSON.parse(await (await fetch(`${url}/api/metrics`)).text())
    return metrics.total_orders
  })

const fileOf = (folder: string, first: number, count: number) =>
  Effect.promise(async () => {
    const lines = Array.from({ length: count }, (_, index) => JSON.stringify(aNewOrder(first + index)))
    await Fs.writeFile(Path.join(folder, "orders.ndjson"), lines.join("\n"))
  })

/** The command on a pipe that nobody reads any more, and its exit code. */
const unread = (command: string) => `exec 3> >(:); wait $!; $ORDERS ${command} >&3; echo $?`

const lost = (code: string) => `Standard output could not be written (${code}). The command has gone on to its end.\n`

describe("orders, when what it prints is lost", { timeout: 300_000 }, () => {
  layer(Running.layer)((it) => {
    it.scoped("sends all 20,000 orders though the reader leaves after one line", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const folder = yield* temporaryFolder
        yield* fileOf(folder, 1, 20_000)
        const submit = "$ORDERS submit --file orders.ndjson --json"
        const { stderr, stdout } = yield* shell(`${submit} | head -n 1; echo \${PIPESTATUS[0]}`, url, folder)
        assert.strictEqual(stdout, '{"index":0,"order_id":1,"result":"accepted"}\n3\n')
        assert.strictEqual(stderr, lost("EPIPE"))
        assert.strictEqual(yield* total(url), 20_000)
      })
    )

    it.scoped("goes on in every command that acts, whatever it cannot write on", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const folder = yield* temporaryFolder
        const before = yield* total(url)
        yield* fileOf(folder, 100_001, 3000)
        const file = "$ORDERS submit --file orders.ndjson --json"
        const full = yield* shell(`${file} >/dev/full; echo $?`, url, folder)
        assert.deepStrictEqual(full, { stdout: "3\n", stderr: lost("ENOSPC") })
        assert.strictEqual(yield* total(url), before + 3000)

        // Its own faults come first: a lost output does not hide them.
        yield* Effect.promise(() =>
          Fs.appendFile(Path.join(folder, "orders.ndjson"), `\nno JSON\n${JSON.stringify(aNewOrder(110_000))}`)
        )
        const both = yield* shell("$ORDERS submit --file orders.ndjson >/dev/full 2>&1; echo $?", url, folder)
        assert.strictEqual(both.stdout, "1\n")
        assert.strictEqual(yield* total(url), before + 3001)

        const acts = ["cancel 1", "retry 1 --json", "cancel 2", "retry --status Cancelled --yes"]
        for (const command of acts) {
          assert.deepStrictEqual(yield* shell(unread(command), url), { stdout: "3\n", stderr: lost("EPIPE") }, command)
        }
        const error = yield* shell(
          "exec 3> >(:); wait $!; $ORDERS submit --file orders.ndjson 2>&3; echo $?",
          url,
          folder
        )
        assert.strictEqual(error.stdout, "0 accepted, 3001 replayed, 1 invalid\n1\n")
      })
    )

    it.effect("stops at once, and quietly, in commands that only show", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        for (const command of ["list --all --json", "list --all", "metrics", "--help", "--completions bash"]) {
          const { stderr, stdout } = yield* shell(unread(command), url)
          assert.deepStrictEqual({ stderr, stdout }, { stderr: "", stdout: "3\n" }, command)
        }
        const full = yield* shell("$ORDERS metrics >/dev/full; echo $?", url)
        assert.deepStrictEqual(full, { stdout: "3\n", stderr: "Standard output could not be written (ENOSPC).\n" })
      })
    )

    it.effect("keeps nothing back from a slow reader", () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const all = yield* total(url)
        const { stdout } = yield* shell("$ORDERS list --all --json | (sleep 1; wc -l)", url)
        assert.strictEqual(Number(stdout), all)
      })
    )
  })

  it.effect("widens the columns of a table from piece to piece, in linear time", () =>
    Effect.gen(function* () {
      const printed: Array<string> = []
      const print = tablePrinter(["A", "B"])
      const pieces = Effect.gen(function* () {
        yield* print([["1", "x"]])
        yield* print([["long", "y"]])
        for (let piece = 0; piece < 300; piece++) yield* print(Array.from({ length: 500 }, (_, row) => [row, "z"]))
      })
      yield* Effect.consoleWith((console) =>
        Effect.withConsole(pieces, { ...console, log: (text) => Effect.sync(() => printed.push(String(text))) })
      )
      const plain = printed.join("\n").split("\n")
      assert.deepStrictEqual(plain.slice(0, 4), ["A  B", "1  x", "long  y", "0     z"])
      assert.strictEqual(plain.length, 150_003)
    })
  )

  // Time that grows with the square of the length would be minutes.
  it.effect("prints cells of a million blanks or emoji", () =>
    Effect.gen(function* () {
      const printed: Array<string> = []
      const cells = [`${" ".repeat(1_000_000)}x`, `${"👩‍💻".repeat(200_000)}x`, " ".repeat(1_000_000)]
      const print = Effect.zipRight(printTable(["A", "B", "C"], [cells, ["", "y", ""]]), printFields([["a", cells[0]]]))
      yield* Effect.consoleWith((console) =>
        Effect.withConsole(print, { ...console, log: (text) => Effect.sync(() => printed.push(String(text))) })
      )
      const [, long = "", short = ""] = printed[0]?.split("\n") ?? []
      assert.isTrue(long.startsWith(`${cells[0]}  👩\\u200d💻`))
      assert.isTrue(short.endsWith(" y"))
    })
  )
})
