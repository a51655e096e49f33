import * as Fs from "node:fs/promises"
import * as Http from "node:http"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { command } from "../support/CliCommand.ts"
import { cli, cliOnTerminal, hasTerminal, startCli } from "../support/CliProcess.ts"
import { answer, startEndpoint, startHttp } from "../support/Endpoint.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

/** Of each class of characters that steer a terminal, break a line of it or hide what it shows. */
const evil = [
  "A\u001b]0;owned\u0007\u001b[2J\u001b[31m\b\u007f\u0000\t\r\n",
  "\u0085\u009b31m\u009d\u061c\u200e\u200f\u202a\u202e\u2066\u2069",
  "\u2028\u2029\u200b\u200d\ufeff\u00ad\u{e0041}שB"
].join("")

/** What arguments and file names may hold, which is no NUL. */
const evilName = evil.replaceAll("\0", "")

const evilOrder = {
  ...{ order_id: 1, user_id: 7, item_ids: [1], total_amount: 9.99, currency: null, metadata: { [evil]: evil } },
  ...{ status: "Failed", attempts: 1, accepted_at: "2026-01-31T12:00:00.000Z", started_at: "2026-01-31T12:00:00.000Z" },
  ...{ finished_at: "2026-01-31T12:00:00.000Z", next_attempt_at: null, result: { [evil]: `${evil}\ud800` } },
  last_error: { code: evil, message: evil, attempt: 1, at: "2026-01-31T12:00:00.000Z" }
}

const esc = "\u001b"
const colourCodes = new RegExp(`${esc}\\[(?:3[1-4]|39|2|22)m`, "g")
const cursorCodes = new RegExp(`${esc}\\[[?0-9;]*[A-Za-z]`, "g")
const classes = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

/** No line holds such a character but our colours, where colours are wanted. */
const steersNothing = (shown: string, colours: boolean) => {
  const own = colours ? colourCodes : /^$/
  for (const line of shown.split(colours ? "\r\n" : "\n")) assert.notMatch(line.replace(own, ""), classes)
}

/** The text of {@link evil} as it is to be seen. */
const seen = ["A\\u001b]0;owned\\u0007", "\\u009b31m", "\\u202e", "\\u2028", "\\u{e0041}שB"]

const showsAll = (shown: string) => {
  for (const part of seen) assert.include(shown, part)
}

interface Given {
  readonly url?: string
  readonly folder?: string
  readonly input?: string
}

/** Runs a command on pipes and on a terminal, and gives what it printed on pipes. */
const shownBy = Effect.fn(function* (args: ReadonlyArray<string>, given: Given = {}) {
  const piped = yield* cli(args, given)
  steersNothing(piped.stdout, false)
  steersNothing(piped.stderr, false)
  // What a terminal is given to read it shows too.
  if (!hasTerminal || given.input !== undefined) return { ...piped, onTerminal: undefined }
  const { stdout } = yield* cliOnTerminal(args, given)
  steersNothing(stdout, true)
  return { ...piped, onTerminal: stdout }
})

const service = (status: number, body: object) =>
  startHttp((_request, response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
  )

const problem = (status: number, title: string, rest: object = {}) => ({
  ...{ type: `urn:orders:problem:${title.toLowerCase().replaceAll(" ", "-")}`, title, status, detail: evil },
  ...rest
})

describe(`orders on a terminal${hasTerminal ? "" : " (no script of util-linux found)"}`, () => {
  it.scopedLive("shows hostile orders of a service, and is coloured by us alone", () =>
    Effect.gen(function* () {
      const url = (yield* service(200, evilOrder)).href
      for (const args of [
        ["get", "1"],
        ["cancel", "1"],
        ["retry", "1"]
      ]) {
        const { onTerminal, stdout } = yield* shownBy(args, { url })
        showsAll(stdout)
        if (onTerminal !== undefined) assert.include(onTerminal, "\u001b[31mFailed\u001b[39m")
        const json = (yield* cli([...args, "--json"], { url })).stdout
        steersNothing(json, false)
        assert.deepStrictEqual(JSON.parse(json), evilOrder)
      }
    })
  )

  it.scopedLive("shows hostile lists and failures", () =>
    Effect.gen(function* () {
      const list = (yield* service(200, { orders: [evilOrder] })).href
      showsAll((yield* shownBy(["list"], { url: list })).stdout)
      const listed = (yield* cli(["list", "--json"], { url: list })).stdout
      steersNothing(listed, false)
      assert.deepStrictEqual(JSON.parse(listed), evilOrder)

      const at = evilOrder.accepted_at
      const groups = [{ error_code: evil, count: 1, first_at: at, last_at: at, order_ids: [1] }]
      const failures = { failures: groups, other: { count: 0, groups: 0 } }
      const url = (yield* service(200, failures)).href
      showsAll((yield* shownBy(["failures"], { url })).stdout)
      const counted = (yield* cli(["failures", "--json"], { url })).stdout
      steersNothing(counted, false)
      assert.deepStrictEqual(JSON.parse(counted), failures)
    })
  )

  it.scopedLive("shows hostile refusals, and gives them on exactly with --json", () =>
    Effect.gen(function* () {
      const faults = { errors: [{ pointer: `/${evil}`, detail: evil }] }
      const invalid = (yield* service(422, problem(422, "Invalid request", faults))).href
      showsAll((yield* shownBy(["get", "1"], { url: invalid })).stderr)
      const { stderr } = yield* cli(["get", "1", "--json"], { url: invalid })
      steersNothing(stderr, false)
      assert.deepStrictEqual(JSON.parse(stderr).errors, faults.errors)

      const order = ["submit", "--order-id", "1", "--user-id", "7", "--item", "1", "--amount", "9.99"]
      const type = "urn:orders:problem:order-conflict"
      const conflict = problem(409, "Order id already used", { type, order_id: 1, fields: [evil] })
      showsAll((yield* shownBy(order, { url: (yield* service(409, conflict)).href })).stderr)
      const malformed = (yield* service(400, problem(400, "Malformed request"))).href
      showsAll((yield* shownBy(["submit", "--file", "-"], { url: malformed, input: "{}" })).stderr)
      // No problem of ours, with a proxy's page.
      const page = (yield* startHttp((_request, response) => response.writeHead(502).end(evil))).href
      for (const command of ["metrics", "list"]) yield* shownBy([command], { url: page })
    })
  )

  it.scopedLive("shows what a hostile service says of single orders of a file", () =>
    Effect.gen(function* () {
      const results = [
        { index: 0, order_id: null, result: "invalid", errors: [{ pointer: `/${evil}`, detail: evil }] },
        { index: 1, order_id: 2, result: "conflict", fields: [evil] }
      ]
      const answered = { accepted: 0, replayed: 0, conflict: 1, invalid: 1, refused: 0, results }
      const given = { url: (yield* service(200, answered)).href, input: `${JSON.stringify({ [evil]: evil })}\n{}` }
      const { stderr } = yield* shownBy(["submit", "--file", "-"], given)
      assert.match(stderr, /^line 1: invalid\n {2}\/A\\u001b/)
      assert.strictEqual(stderr.split("\n").length, 4)
      const { stdout } = yield* cli(["submit", "--file", "-", "--json"], given)
      steersNothing(stdout, false)
      const lines = stdout.trimEnd().split("\n")
      assert.deepStrictEqual(
        lines.map((line): unknown => JSON.parse(line)),
        results
      )
    })
  )

  it.scopedLive("shows a refused stream of events, from watch and simulate", () =>
    Effect.gen(function* () {
      // The service answers all but its events.
      const real = yield* startService(yield* temporaryFolder, { PROCESSING_TIME: "1 millis" })
      const refusal = JSON.stringify(problem(403, "Unheard of"))
      const url = (yield* startHttp((request, response) => {
        if (request.url?.startsWith("/api/events")) return response.writeHead(403).end(refusal)
        const headers = { ...request.headers, host: new URL(real.url).host }
        const onward = Http.request(
          `${real.url}${request.url}`,
          { method: request.method ?? "GET", headers },
          (from) => {
            response.writeHead(from.statusCode ?? 500, from.headers)
            from.pipe(response)
          }
        )
        request.pipe(onward)
      })).href
      showsAll((yield* shownBy(["watch"], { url })).stderr)
      const args = ["simulate", "--orders", "1"]
      const piped = yield* cli(args, { url })
      steersNothing(piped.stderr, false)
      showsAll(piped.stderr)
      if (!hasTerminal) return
      // The bars are drawn with codes of their own.
      const { stdout } = yield* cliOnTerminal(args, { url })
      const drawn = stdout.replaceAll(cursorCodes, "").replaceAll(/[\r\n]/g, "")
      showsAll(drawn)
      assert.notMatch(drawn, classes)
    })
  )

  it.scopedLive("shows names of files and what stands in them", () =>
    Effect.gen(function* () {
      const { url } = yield* startService(yield* temporaryFolder)
      const folder = yield* temporaryFolder
      const name = evilName.replaceAll("/", "")
      showsAll((yield* shownBy(["submit", "--file", name], { url, folder })).stderr)
      const order = { ...aNewOrder(1), [evil]: evil }
      yield* Effect.promise(() => Fs.writeFile(Path.join(folder, name), `${evil}\n${JSON.stringify(order)}\n`))
      const { stderr } = yield* shownBy(["submit", "--file", name], { url, folder })
      showsAll(stderr)
      assert.match(stderr, /line 3, order 1: invalid\n/)
      const nowhere = yield* shownBy(["submit", "--file", name], { url: "http://127.0.0.1:1", folder })
      assert.match(nowhere.stderr, /^Stopped after 0 orders of A\\u001b/)
      for (const args of [
        ["doctor", "--database", `${name}x`],
        ["restore", `${name}x`]
      ]) {
        showsAll((yield* shownBy(args, { folder })).stderr)
      }
    })
  )

  it.live("shows arguments it does not understand", () =>
    Effect.gen(function* () {
      for (const args of [
        ["list", "--status", evilName],
        ["list", "--limit", evilName],
        ["list", "--url", evilName],
        ["list", "--user-id", evilName],
        ["submit", "--metadata", evilName],
        ["doctor", "--database", `x:${evilName}`],
        ["backup", `~${evilName}`],
        ["--completions", evilName]
      ]) {
        const { code, stderr } = yield* command(args)
        assert.strictEqual(code, 2)
        steersNothing(stderr, false)
      }
      // It would take minutes if the slashes were looked at anew from each of them.
      const slashes = `http://127.0.0.1:1${"/".repeat(400_000)}x`
      assert.strictEqual((yield* command(["metrics", "--url", slashes])).code, 1)
      for (const args of [[evilName], ["get", "1", evilName], ["get", "1", `--${evilName}`]]) {
        const { code, stderr } = yield* shownBy(args)
        assert.strictEqual(code, 2)
        showsAll(stderr)
        const problem = (yield* cli([...args, "--json"])).stderr
        steersNothing(problem, false)
        assert.include(JSON.parse(problem).detail, evilName)
      }
    })
  )

  it.scopedLive("shows what shops and their endpoints gave to a real service, and gives it on exactly", () =>
    Effect.gen(function* () {
      const endpoint = yield* startEndpoint(answer(422, JSON.stringify({ code: evil, message: evil })))
      const service = yield* startService(yield* temporaryFolder, {
        PROCESSOR: "webhook",
        WEBHOOK_URL: endpoint.url.href,
        WEBHOOK_SECRET: Buffer.alloc(32).toString("base64")
      })
      const { url } = service
      const watching = yield* startCli(["watch", "--status", "Failed"], { url })
      yield* until(() => watching.output.stderr.includes("Watching"))
      const metadata = { note: evil.replaceAll("\0", "") }
      assert.strictEqual((yield* Effect.promise(() => post(url, { ...aNewOrder(1), metadata }))).status, 202)
      const { stdout } = yield* shownBy(["get", "1", "--wait", "20"], { url })
      showsAll(stdout)
      const json = (yield* cli(["get", "1", "--json"], { url })).stdout
      steersNothing(json, false)
      const order = JSON.parse(json)
      assert.deepStrictEqual(order.metadata, metadata)
      assert.strictEqual(order.last_error.message, evil)
      // A code is cleaned for good: it becomes a heading of lists.
      assert.notMatch(order.last_error.code, classes)
      for (const args of [["list"], ["failures"]]) yield* shownBy(args, { url })
      showsAll((yield* shownBy(["history", "1"], { url })).stdout)
      const history = (yield* cli(["history", "1", "--json"], { url })).stdout
      steersNothing(history, false)
      assert.strictEqual(JSON.parse(history.trimEnd().split("\n").at(-1) ?? "").error.message, evil)
      yield* until(() => watching.output.stdout.includes("Failed"))
      steersNothing(watching.output.stdout, false)
    })
  )
})
