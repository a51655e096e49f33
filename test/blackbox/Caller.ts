import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { until } from "../support/Until.ts"
import { isNoEvent, openStream, type Watcher } from "../support/Watcher.ts"
import { type Answer, exchange, type Request } from "./Exchange.ts"
import { summedMetrics } from "./SummedMetrics.ts"
import { makeTranscript } from "./Transcript.ts"

export const json = { "content-type": "application/json" }
export const lines = { "content-type": "application/x-ndjson" }

/** The nodes of a service as its clients know them. */
export interface Caller {
  /** Sends it to the node whose turn it is, and writes both down. */
  readonly send: (request: Request) => Effect.Effect<Answer>
  readonly get: (path: string) => Effect.Effect<Answer>
  /** With the value as JSON, if there is one. */
  readonly post: (path: string, value?: unknown) => Effect.Effect<Answer>
  /** Asks again until the answer is so, and writes down that one. */
  readonly getUntil: (path: string, holds: (answer: Answer) => boolean) => Effect.Effect<Answer>
  /** For requests whose answers depend on which of them comes first: nothing is written down. */
  readonly ask: (request: Request) => Effect.Effect<Answer>
  /** An event stream, which writes down what is taken from it. */
  readonly watch: (query: string, headers?: Record<string, string>) => Effect.Effect<Watched, never, Scope.Scope>
}

export interface Watched extends Pick<Watcher, "status" | "headers"> {
  /** The next block that is no comment by the clock: its lines. */
  readonly take: Effect.Effect<string>
}

/** Base URLs of the nodes of a service, of which there is at least one. */
export type Nodes = readonly [string, ...ReadonlyArray<string>]

/** The nodes get a request each in their turn. They may have moved when they were started again. */
export const makeCaller = (nodes: Nodes) => {
  const transcript = makeTranscript()
  let urls = nodes
  let turn = 0
  const nextUrl = (): string => urls[turn++ % urls.length] ?? urls[0]

  /** Metrics of Prometheus are those of the node that is asked, so all are. */
  const ask = (request: Request) =>
    Effect.suspend(() =>
      urls.length > 1 && request.path === "/metrics" && (request.method ?? "GET") === "GET"
        ? Effect.map(
            Effect.forEach(urls, (url) => exchange(url, request)),
            ([first, ...others]) =>
              first.status === 200
                ? { ...first, text: summedMetrics([first, ...others].map(({ text }) => text)) }
                : first
          )
        : exchange(nextUrl(), request)
    )
  const send = (request: Request) => Effect.tap(ask(request), (answer) => transcript.exchange(request, answer))
  const caller: Caller = {
    ask,
    send,
    get: (path) => send({ path }),
    post: (path, value) =>
      send(
        value === undefined
          ? { method: "POST", path }
          : { method: "POST", path, headers: json, body: JSON.stringify(value) }
      ),
    getUntil: (path, holds) =>
      Effect.gen(function* () {
        let answer: Answer | undefined
        yield* until(
          Effect.map(ask({ path }), (next) => {
            answer = next
            return holds(next)
          })
        )
        assert(answer !== undefined)
        transcript.exchange({ path }, answer)
        return answer
      }),
    watch: (query, headers = {}) =>
      Effect.map(Effect.orDie(openStream(nextUrl(), query, "127.0.0.1", headers)), (stream) => ({
        status: stream.status,
        headers: stream.headers,
        take: Effect.iterate("", {
          while: (block) => block === "" || (isNoEvent(block) && block.startsWith(":")),
          body: () => stream.blocks.take
        }).pipe(
          Effect.tap((block) => transcript.block(`/api/events${query}`, block)),
          Effect.timeout("60 seconds"),
          Effect.orDie
        )
      }))
  }
  const moveTo = (nodes: Nodes) => {
    urls = nodes
  }
  return { caller, moveTo, transcript: transcript.text }
}

/** What stands at a place in the JSON of an answer. */
export const at = (answer: Answer, ...path: ReadonlyArray<string | number>): unknown => {
  let value: unknown = JSON.parse(answer.text)
  for (const step of path) value = typeof value === "object" && value !== null ? Reflect.get(value, step) : undefined
  return value
}

/** What stands there, which has to be a text. */
export const textAt = (answer: Answer, ...path: ReadonlyArray<string | number>) => {
  const value = at(answer, ...path)
  assert(typeof value === "string", `${path.join("/")} in ${answer.text}`)
  return value
}

/** What stands at each place of a list. */
export const each = (answer: Answer, list: string, ...path: ReadonlyArray<string | number>): ReadonlyArray<unknown> => {
  const values = at(answer, list)
  assert(Array.isArray(values), answer.text)
  return values.map((_, index) => at(answer, list, index, ...path))
}
