import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { randomKey } from "../../src/access/ApiKey.ts"
import { scopes } from "../../src/api/Scope.ts"
import { command } from "../support/CliCommand.ts"
import { startCli } from "../support/CliProcess.ts"
import { type KeyLines, keysFile } from "../support/ProtectedService.ts"

import { startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const everyScope = scopes.join()

const protectedProcess = (lines: KeyLines) =>
  Effect.gen(function* () {
    const keys = yield* keysFile(lines)
    const folder = yield* temporaryFolder
    const service = yield* startService(folder, { API_KEYS_FILE: keys.file, PROCESSING_TIME: "0 millis" })
    return { service, url: service.url, ...keys, folder }
  })

const order = ["submit", "--order-id", "1", "--user-id", "1", "--item", "1", "--amount", "1"]
/** Each command that talks to a service, in an order in which each succeeds, and the scope it needs. */
const commands = [
  [order, "submit"],
  [["get", "1", "--wait", "20"], "read"],
  [["history", "1"], "read"],
  [["list"], "read"],
  [["failures"], "read"],
  [["retry", "--all", "--yes"], "operate"],
  [["metrics"], "metrics"],
  [["submit", "--file", "test/fixtures/order.ndjson"], "submit"],
  [["simulate", "--orders", "3"], "metrics"]
] as const

describe("orders with a key", { timeout: 300_000 }, () => {
  it.scopedLive("every command sends it, and says what is wrong with one that is missing, unknown or too little", () =>
    Effect.gen(function* () {
      const lacking = Object.fromEntries(
        scopes.map((scope) => [`no-${scope}`, [scopes.filter((other) => other !== scope).join()]] as const)
      )
      const { key, url } = yield* protectedProcess({ all: [everyScope], ...lacking })
      for (const [args, scope] of commands) {
        const run = (ORDERS_API_KEY?: string) =>
          command(args, { url, env: ORDERS_API_KEY === undefined ? {} : { ORDERS_API_KEY } })
        const good = yield* run(key("all"))
        assert.strictEqual(good.code, 0, `${args}: ${good.stderr}`)
        const none = yield* run()
        assert.strictEqual(none.code, 1)
        assert.include(none.stderr, "Set ORDERS_API_KEY to a key, or ORDERS_API_KEY_FILE to a file with one.\n")
        const lesser = yield* run(key(`no-${scope}`))
        assert.strictEqual(lesser.code, 1, args.join(" "))
        assert.match(
          lesser.stderr,
          args[0] === "simulate"
            ? /^simulate needs a key with the scopes submit, read, metrics; no-metrics has submit, read, operate\.\n$/
            : new RegExp(`This needs a key with the scope ${scope}.\nSet ORDERS_API_KEY .* --scopes ${scope} makes it.`)
        )
        for (const { stderr, stdout } of [good, none, lesser]) assert.notMatch(stdout + stderr, /ord_\w/)
      }
      const wrong = randomKey()
      for (const args of [["metrics"], ["watch"], ["metrics", "--json"]]) {
        const { code, stderr, stdout } = yield* command(args, { url, env: { ORDERS_API_KEY: wrong } })
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.include(stderr, "This key is not one of this service.")
        assert.notInclude(stderr, wrong)
      }
    })
  )

  it.scopedLive(
    "watch sees orders with the scope read alone, keeps the key out of the processes' list, and ends with it",
    () =>
      Effect.gen(function* () {
        const { file, folder, key, service, url, write } = yield* protectedProcess({
          all: [everyScope],
          read: ["read"]
        })
        const watching = yield* startCli(["watch", "--json"], { url, env: { ORDERS_API_KEY: key("read") } })
        yield* until(() => watching.output.stderr.includes("Watching"))
        assert.notInclude(Fs.readFileSync(`/proc/${watching.child.pid}/cmdline`, "utf8"), "ord_")
        assert.strictEqual((yield* command(order, { url, env: { ORDERS_API_KEY: key("all") } })).code, 0)
        yield* until(() => watching.output.stdout.includes('"status":"Completed"'))
        // The key is taken away: the next connection is refused, and that is the end.
        write({ all: [everyScope] })
        service.child.kill("SIGKILL")
        yield* service.exited
        yield* startService(folder, { API_KEYS_FILE: file, PORT: new URL(url).port })
        const { code, stderr, stdout } = yield* watching.ended
        assert.strictEqual(code, 1)
        assert.match(
          stderr,
          /This key is not one of this service\. Set ORDERS_API_KEY, or the file .* to another one\."\}\n$/
        )
        assert.notMatch(stdout + stderr, /ord_\w/)
      })
  )

  it.scopedLive("simulate stays below the rate of its key: it waits as long as it is asked to", () =>
    Effect.gen(function* () {
      const { key, url } = yield* protectedProcess({ slow: [everyScope, "rate=5/s"] })
      const { code, stderr, stdout } = yield* command(["simulate", "--orders", "12", "--json"], {
        url,
        env: { ORDERS_API_KEY: key("slow") }
      })
      assert.strictEqual(code, 0, stderr)
      const { accepted, repeated_submissions } = JSON.parse(stdout)
      assert.strictEqual(accepted, 12)
      assert.isAbove(repeated_submissions, 0)
    })
  )

  it.scopedLive("it comes from a file too, without the line end, and never from both or what is no key", () =>
    Effect.gen(function* () {
      const { folder, key, url } = yield* protectedProcess({ all: [everyScope] })
      const file = Path.join(folder, "key")
      const withFile = (content: string, env = {}) => {
        Fs.writeFileSync(file, content)
        return command(["metrics"], { url, env: { ORDERS_API_KEY_FILE: file, ...env } })
      }
      for (const content of [key("all"), `${key("all")}\n`, `${key("all")}\r\n`]) {
        assert.strictEqual((yield* withFile(content)).code, 0)
      }
      assert.strictEqual((yield* withFile(key("all"), { ORDERS_API_KEY: "" })).code, 0)
      for (const [content, env, says] of [
        [`${key("all")}\n`, { ORDERS_API_KEY: key("all") }, "given beside ORDERS_API_KEY, allowed is one of them"],
        [`${key("all")}\n${key("all")}\n`, {}, "What is in the file of ORDERS_API_KEY_FILE is no key"],
        [` ${key("all")}`, {}, "is no key"],
        ["", {}, "is no key"],
        ["mark-secret", {}, "is no key"]
      ] as const) {
        const { code, stderr, stdout } = yield* withFile(content, env)
        assert.deepStrictEqual([code, stdout], [2, ""], content)
        assert.include(stderr, says)
        assert.notMatch(stderr, /ord_\w|mark-/)
      }
      const missing = yield* command(["metrics"], { url, env: { ORDERS_API_KEY_FILE: `${file}.none` } })
      assert.deepStrictEqual([missing.code, missing.stdout], [2, ""])
      assert.include(missing.stderr, "ENOENT: no such file or directory")
      for (const value of [`${key("all")}\n`, `${key("all")} `, "mark-secret", `Bearer ${key("all")}`]) {
        for (const json of [[], ["--json"]]) {
          const { code, stderr } = yield* command(["metrics", ...json], { url, env: { ORDERS_API_KEY: value } })
          assert.strictEqual(code, 2)
          assert.include(stderr, "What is in ORDERS_API_KEY is no key")
          assert.notMatch(stderr, /ord_\w|mark-/)
        }
      }
      assert.strictEqual((yield* command(["doctor", "--help"], { env: { ORDERS_API_KEY: "mark" } })).code, 0)
    })
  )
})

/** Notes the keys it is sent, and answers as it should. */
const recorder = (answer: (response: Http.ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly port: number; readonly seen: Array<string | undefined>; readonly server: Http.Server }>(
      (resume) => {
        const seen: Array<string | undefined> = []
        const server = Http.createServer((request, response) => {
          seen.push(request.headers.authorization)
          answer(response)
        }).listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" ? (address?.port ?? 0) : 0
          resume(Effect.succeed({ port, seen, server }))
        })
      }
    ),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

const metrics = (response: Http.ServerResponse) => response.writeHead(404).end()

describe("orders, where others could read the key", { timeout: 300_000 }, () => {
  it.scopedLive("sends nothing over plain http to other machines, unless it is said to be safe", () =>
    Effect.gen(function* () {
      const ORDERS_API_KEY = randomKey()
      const { port, seen } = yield* recorder(metrics)
      // No loopback address as far as anyone knows; on this machine it leads to it all the same.
      const url = `http://0.0.0.0:${port}`
      for (const [args] of [...commands, [["watch"]] as const]) {
        const { code, stderr, stdout } = yield* command(args, { url, env: { ORDERS_API_KEY } })
        assert.deepStrictEqual([code, stdout], [2, ""], args.join(" "))
        assert.strictEqual(
          stderr,
          `The key of ORDERS_API_KEY is not sent to ${url}: without https others on the way could read it.\n` +
            "Use https:// there, or say --insecure if nobody else can read what is sent.\n"
        )
      }
      assert.deepStrictEqual(seen, [])
      yield* command(["metrics", "--insecure"], { url, env: { ORDERS_API_KEY } })
      assert.deepStrictEqual(seen, [`Bearer ${ORDERS_API_KEY}`])
      // Without a key there is nothing to hide.
      yield* command(["metrics"], { url })
      assert.deepStrictEqual(seen, [`Bearer ${ORDERS_API_KEY}`, undefined])
      const loopback = yield* command(["metrics"], { url: `http://localhost:${port}`, env: { ORDERS_API_KEY } })
      assert.strictEqual(loopback.code, 1)
      assert.lengthOf(seen, 3)
    })
  )

  it.scopedLive("follows no redirection with it", () =>
    Effect.gen(function* () {
      const ORDERS_API_KEY = randomKey()
      const other = yield* recorder(metrics)
      const first = yield* recorder((response) =>
        response.writeHead(307, { location: `http://127.0.0.1:${other.port}/api/metrics` }).end()
      )
      const { code, stderr } = yield* command(["metrics"], {
        url: `http://127.0.0.1:${first.port}`,
        env: { ORDERS_API_KEY }
      })
      assert.strictEqual(code, 1)
      assert.include(stderr, "answered 307 in an unknown way")
      assert.deepStrictEqual([first.seen.length, other.seen.length], [1, 0])
    })
  )
})
