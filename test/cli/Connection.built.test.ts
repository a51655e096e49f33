import * as Http from "node:http"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { withAnswerLimit } from "../../src/cli/Connection.ts"
import { failureOf } from "../../src/cli/Failure.ts"
import { command } from "../support/CliCommand.ts"
import { cli, startCli } from "../support/CliProcess.ts"
import { closedPort } from "../support/Endpoint.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

type Answer = (response: Http.ServerResponse) => void

const problem =
  (status: number, detail: string): Answer =>
  (response) => {
    const type = "urn:orders:problem:too-many-streams"
    response
      .writeHead(status, { "content-type": "application/problem+json" })
      .end(JSON.stringify({ type, title: detail, status, detail }))
  }

/** Passes everything on to a service, but for what it answers itself when asked for events. */
const inFrontOf = (service: string, events: () => Answer | undefined) =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Http.Server; readonly url: string }>((resume) => {
      const server = Http.createServer((request, response) => {
        const answer = request.url?.startsWith("/api/events") ? events() : undefined
        if (answer !== undefined) return answer(response)
        const passed = Http.request(`${service}${request.url}`, { method: request.method, headers: request.headers })
        passed.on("response", (answered) => {
          response.writeHead(answered.statusCode ?? 502, answered.headers)
          response.flushHeaders()
          answered.pipe(response)
        })
        passed.on("error", () => response.destroy())
        request.pipe(passed)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address ? address.port : 0
        resume(Effect.succeed({ server, url: `http://127.0.0.1:${port}` }))
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

/** A proxy that has the service below a path, and answers 404 for any other. */
const behindPath = (service: string, path: string) =>
  Effect.gen(function* () {
    const { server, url } = yield* inFrontOf(service, () => undefined)
    const [pass] = server.listeners("request")
    server.removeAllListeners("request").on("request", (request: Http.IncomingMessage, response) => {
      if (!request.url?.startsWith(`${path}/api/`)) return response.writeHead(404).end()
      request.url = request.url.slice(path.length)
      pass?.call(server, request, response)
    })
    return url
  })

const service = Effect.flatMap(temporaryFolder, (folder) => startService(folder, { PROCESSING_TIME: "0 millis" }))

describe("orders, when the service does not answer well", { timeout: 300_000 }, () => {
  it.effect("gives up a request that is not answered", () =>
    Effect.gen(function* () {
      const client = withAnswerLimit(HttpClient.make(() => Effect.never))
      const answer = yield* Effect.fork(Effect.flip(client.get("http://127.0.0.1:3000/api/metrics")))
      yield* TestClock.adjust("39 seconds")
      assert.isTrue((yield* Fiber.poll(answer))._tag === "None")
      yield* TestClock.adjust("1 second")
      const line = /^No order service answers at http:\/\/127\.0\.0\.1:3000 \(no answer within 40 seconds\)/
      assert.match(failureOf(yield* Fiber.join(answer)).lines.join(), line)
    })
  )

  it.scopedLive("watch tells why it has no stream, each reason once, and goes on trying", () =>
    Effect.gen(function* () {
      const { url } = yield* service
      const answers: { now?: Answer | undefined } = { now: problem(503, "Too many watch already.") }
      const front = yield* inFrontOf(url, () => answers.now)
      const watching = yield* startCli(["watch"], { url: front.url })
      yield* until(() => watching.output.stderr.includes("Too many"))
      yield* Effect.sleep("1200 millis")
      assert.strictEqual(watching.output.stderr, "Not connected yet: Too many watch already. Trying again.\n")
      answers.now = undefined
      yield* until(() => watching.output.stderr.includes("Watching http"))
      answers.now = problem(503, "Not now.")
      front.server.closeAllConnections()
      yield* until(() => watching.output.stderr.includes("Connection lost: Not now. Trying again."))
      assert.match(watching.output.stderr, /\nConnection lost: the connection broke \(ECONNRESET\)\. Trying again\.\n/)
    })
  )

  it.scopedLive("watch ends when the stream is refused for good; simulate goes on without", () =>
    Effect.gen(function* () {
      const { url } = yield* service
      const html: Answer = (response) => response.writeHead(404, { "content-type": "text/html" }).end("<h1>No</h1>")
      const front = yield* inFrontOf(url, () => html)
      const { code, stderr } = yield* cli(["watch"], { url: front.url })
      assert.deepStrictEqual([code, stderr], [1, `${front.url} answered 404 when asked for its events.\n`])
      const simulated = yield* cli(["simulate", "--orders", "5"], { url: front.url })
      assert.strictEqual(simulated.code, 0, simulated.stderr)
      assert.include(simulated.stderr, "answered 404 when asked for its events. Going on without events.\n")
    })
  )

  it.scopedLive("finds a service behind a path, named with or without a slash at its end, in every command", () =>
    Effect.gen(function* () {
      const { url } = yield* service
      const front = yield* behindPath(url, "/shop/orders")
      for (const [index, ending] of ["", "/", "//"].entries()) {
        const to = { url: `${front}/shop/orders${ending}` }
        const id = String(index + 1)
        const submitted = yield* command(
          ["submit", "--order-id", id, "--user-id", "1", "--item", "1", "--amount", "1"],
          to
        )
        assert.strictEqual(submitted.code, 0, submitted.stderr)
        for (const args of [
          ["get", id],
          ["history", id],
          ["list"],
          ["failures"],
          ["metrics"],
          ["retry", "--all", "--yes"]
        ]) {
          const { code, stderr } = yield* command(args, to)
          assert.deepStrictEqual([code, stderr], [0, ""], args.join(" "))
        }
        const input = JSON.stringify(aNewOrder(100 + index))
        assert.strictEqual((yield* cli(["submit", "--file", "-"], { ...to, input })).stdout, "1 accepted\n")
        const watching = yield* startCli(["watch", "--json"], to)
        yield* until(() => watching.output.stderr === `Watching ${front}/shop/orders\n`)
        yield* Effect.promise(() => post(url, aNewOrder(200 + index)))
        yield* until(() => watching.output.stdout.includes(`"order_id":${200 + index}`))
        const simulated = yield* command(["simulate", "--orders", "5", "--json"], to)
        assert.deepStrictEqual(
          [simulated.code, JSON.parse(simulated.stdout).connections_lost],
          [0, 0],
          simulated.stderr
        )
        assert.notInclude(simulated.stderr, "Going on without events")
      }
      const wrong = yield* command(["metrics"], { url: `${front}/elsewhere/` })
      assert.strictEqual(wrong.code, 1)
      assert.include(wrong.stderr, `${front}/elsewhere answered 404`)
    })
  )

  it.scopedLive("shows neither the user, the password nor the query of an address, wherever it is given", () =>
    Effect.gen(function* () {
      const address = `http://mark-user:mark-password@127.0.0.1:${yield* closedPort}`
      const query = `${address}/?key=mark-query`
      const order = ["--order-id", "1", "--user-id", "1", "--item", "1", "--amount", "1"]
      for (const args of [
        ...[address, query].flatMap((url) =>
          [["get", "1"], ["list"], ["metrics"], ["watch"], ["cancel", "1"], ["submit", ...order]].map((words) => [
            ...words,
            "--url",
            url
          ])
        ),
        ...[[query], ["get", query], ["get", "1", query], ["metrics", query], ["doctor", `--${query}`]],
        ...[
          ["list", "--status", query],
          ["list", "--limit", query],
          ["get", "1", "--wait", query]
        ],
        ["doctor", "--database", query],
        ["backup", "to", "--database", query.replace("http", "postgres")]
      ]) {
        for (const words of [args, [...args, "--json"]]) {
          const { code, stderr, stdout } = yield* command(words)
          assert.notStrictEqual(code, 0, words.join(" "))
          assert.notStrictEqual(stderr, "")
          assert.notInclude(stdout + stderr, "mark-", words.join(" "))
        }
      }
    })
  )

  it.scopedLive("says that the connection broke in the middle of an answer", () =>
    Effect.gen(function* () {
      const server = yield* inFrontOf("http://127.0.0.1:1", () => undefined)
      server.server.removeAllListeners("request").on("request", (_, response) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": "100" })
        response.write("{", () => response.destroy())
      })
      const { code, stderr } = yield* cli(["metrics"], { url: server.url })
      assert.strictEqual(code, 1)
      assert.match(stderr, /^The connection to http:\/\/127\.0\.0\.1:\d+ broke \(ECONNRESET\)\.\n$/)
    })
  )
})
