import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Layer, Schema } from "effect"
import { NodeServer } from "../src/http/NodeServer.ts"
import { OrdersRepo } from "../src/store/OrdersRepo.ts"
import { aNewOrder, type ServiceProcess, startService } from "./support/ServiceProcess.ts"
import { baseUrl, memoryRepo, service, temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

interface Connection {
  readonly write: (text: string) => Effect.Effect<void>
  /** Everything received so far, as soon as it holds this. */
  readonly until: (part: string) => Effect.Effect<string>
  /** Everything received, when the other side has ended the connection; fails if it broke. */
  readonly ended: Effect.Effect<string, Error>
}

/** A connection that shows every byte. It fails if it cannot be made. */
const connect = (url: string) =>
  Effect.acquireRelease(
    Effect.async<{ readonly socket: Net.Socket; readonly connection: Connection }, Error>((resume) => {
      let received = ""
      let broken: Error | undefined
      const { hostname, port } = new URL(url)
      const socket = Net.connect(Number(port), hostname, () => resume(Effect.succeed({ socket, connection })))
      const wait = <E>(look: () => Effect.Effect<string, E> | undefined) =>
        Effect.async<string, E>((resume) => {
          const check = () => {
            const found = look()
            if (found !== undefined) resume(found)
          }
          socket.on("data", check).on("close", check)
          check()
          return Effect.sync(() => socket.off("data", check).off("close", check))
        })
      const connection: Connection = {
        write: (text) => Effect.sync(() => socket.write(text)),
        until: (part) =>
          wait(() =>
            received.includes(part)
              ? Effect.succeed(received)
              : socket.destroyed
                ? Effect.dieMessage(`The connection ended with: ${received}`)
                : undefined
          ).pipe(Effect.timeout("20 seconds"), Effect.orDie),
        ended: wait(() =>
          socket.destroyed ? (broken === undefined ? Effect.succeed(received) : Effect.fail(broken)) : undefined
        ).pipe(Effect.timeout("20 seconds"))
      }
      socket
        .setEncoding("utf8")
        .on("data", (text: string) => {
          received += text
        })
        .on("error", (error) => {
          broken = error
          resume(Effect.fail(error))
        })
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  ).pipe(Effect.map(({ connection }) => connection))

const head = (line: string, ...headers: ReadonlyArray<string>) =>
  [`${line} HTTP/1.1`, "Host: localhost", ...headers, "", ""].join("\r\n")

const get = (path: string, ...headers: ReadonlyArray<string>) => head(`GET ${path}`, ...headers)

const bodyOf = (order_id: number) => JSON.stringify(aNewOrder(order_id))

/** The head of a request for that order, as if its body were so much longer. */
const postHead = (order_id: number, ...headers: ReadonlyArray<string>) =>
  head("POST /api/order", "Content-Type: application/json", `Content-Length: ${bodyOf(order_id).length}`, ...headers)

const post = (order_id: number) => postHead(order_id) + bodyOf(order_id)

/** The status of each answer received. */
const statuses = (received: string) => [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1]))

const acceptedText = (order_id: number) => `{"message":"Order received","order_id":${order_id}}`

const Draining = Schema.parseJson(
  Schema.Struct({
    type: Schema.Literal("urn:orders:problem:draining"),
    title: Schema.String,
    status: Schema.Literal(503),
    detail: Schema.String,
    retry_after: Schema.Int
  })
)

const isDraining = (answer: string) =>
  Effect.gen(function* () {
    assert.deepStrictEqual(statuses(answer), [503])
    assert.match(answer, /^Content-Type: application\/problem\+json\r$/im)
    assert.match(answer, /^Retry-After: 5\r$/im)
    assert.match(answer, /^Connection: close\r$/im)
    yield* Schema.decodeUnknown(Draining)(answer.slice(answer.indexOf("\r\n\r\n") + 4))
  })

const statusOf = ({ url }: ServiceProcess, order_id: number) =>
  Effect.promise(() => fetch(`${url}/api/order/${order_id}`).then((response) => response.status))

/** Sends SIGTERM and waits until the drain has begun, which ends the event streams. */
const terminate = ({ child, url }: ServiceProcess) =>
  Effect.gen(function* () {
    const watcher = yield* connect(url)
    yield* watcher.write(get("/api/events"))
    yield* watcher.until("retry:")
    child.kill("SIGTERM")
    yield* watcher.until("\r\n0\r\n\r\n")
  })

const settings = { PROCESSING_TIME: "1 hour", ATTEMPT_TIMEOUT: "2 hours", SHUTDOWN_GRACE: "100 millis" }

/** Less than the 8 seconds after which a shutdown waits for nobody any more. */
const unhindered = "7 seconds"

describe("shutting down", () => {
  it.scopedLive("answers what is in flight, refuses what is new, and ends", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const running = yield* startService(folder, settings)
      const { url } = running

      const kept = yield* Effect.forEach(Arr.range(1, 10), () => connect(url))
      for (const connection of kept) {
        yield* connection.write(get("/livez"))
        yield* connection.until('{"status":"ok"}')
      }
      // The interim answer shows that the service has begun with a request.
      const sending = yield* connect(url)
      yield* sending.write(postHead(1, "Expect: 100-continue") + bodyOf(1).slice(0, 10))
      yield* sending.until("HTTP/1.1 100 Continue\r\n\r\n")
      const [first] = kept
      assert.isDefined(first)
      yield* first.write(post(2))
      yield* first.until(acceptedText(2))
      yield* until(async () => (await (await fetch(`${url}/api/order/2`)).text()).includes('"Processing"'))
      const waiting = yield* connect(url)
      yield* waiting.write(get("/api/order/2?wait=30", "Expect: 100-continue"))
      yield* waiting.until("HTTP/1.1 100 Continue\r\n\r\n")

      yield* terminate(running)

      const found = yield* waiting.ended
      assert.deepStrictEqual(statuses(found), [100, 200])
      assert.match(found, /^\{"order_id":2,"status":"Processing"/m)
      assert.match(found, /^Connection: close\r$/im)

      const second = kept[1]
      assert.isDefined(second)
      yield* second.write(post(3))
      const answers = yield* second.ended
      assert.deepStrictEqual(statuses(answers), [200, 503])
      yield* isDraining(answers.slice(answers.lastIndexOf("HTTP/1.1")))
      const fresh = yield* connect(url)
      yield* fresh.write(post(4))
      yield* isDraining(yield* fresh.ended)
      const late = yield* connect(url)
      yield* late.write(get("/readyz"))
      assert.deepStrictEqual(statuses(yield* late.ended), [503])

      yield* sending.write(bodyOf(1).slice(10))
      const stored = yield* sending.ended
      assert.deepStrictEqual(statuses(stored), [100, 202])
      assert.include(stored, acceptedText(1))
      for (const connection of kept) yield* connection.ended
      assert.strictEqual(yield* Effect.timeout(running.exited, unhindered), 0)
      assert.isTrue((yield* Effect.exit(connect(url)))._tag === "Failure")

      const again = yield* startService(folder, settings)
      const codes = yield* Effect.forEach([1, 2, 3, 4], (id) => statusOf(again, id))
      assert.deepStrictEqual(codes, [200, 200, 404, 404])
    })
  )

  it.scopedLive("is not held up by idle connections, nor for long by a request that never ends", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const idle = yield* startService(folder, settings)
      const silent = yield* Effect.forEach(Arr.range(1, 20), () => connect(idle.url))
      const kept = yield* connect(idle.url)
      yield* kept.write(get("/livez"))
      yield* kept.until('{"status":"ok"}')
      idle.child.kill("SIGTERM")
      assert.strictEqual(yield* Effect.timeout(idle.exited, unhindered), 0)
      for (const connection of [...silent, kept]) yield* connection.ended

      const busy = yield* startService(folder, settings)
      const stuck = yield* connect(busy.url)
      yield* stuck.write(postHead(1, "Expect: 100-continue") + bodyOf(1).slice(0, 10))
      yield* stuck.until("HTTP/1.1 100 Continue\r\n\r\n")
      busy.child.kill("SIGTERM")
      assert.strictEqual(yield* Effect.timeout(busy.exited, "20 seconds"), 0)
      const again = yield* startService(folder, settings)
      assert.strictEqual(yield* statusOf(again, 1), 404)
    })
  )
})

/** A repository whose writes of orders wait until they are let go. */
const gatedRepo = (begun: Deferred.Deferred<void>, gate: Effect.Effect<void>) =>
  Layer.effect(
    OrdersRepo,
    Effect.map(OrdersRepo, (repo) => ({
      ...repo,
      write: (commands: Parameters<typeof repo.write>[0]) =>
        commands.some((command) => command._tag === "Insert")
          ? Effect.zipRight(Deferred.succeed(begun, undefined), Effect.zipRight(gate, repo.write(commands)))
          : repo.write(commands)
    }))
  ).pipe(Layer.provide(memoryRepo))

describe("an order that was stored is answered with 202, whatever follows it", () => {
  it.scopedLive("in the same segment", () =>
    Effect.gen(function* () {
      const running = yield* startService(yield* temporaryFolder, settings)
      const followers = {
        "a byte more than Content-Length says": "}",
        "a letter": "x",
        garbage: "GARBAGE\r\n\r\n",
        "a bad request": "GET /livez HTTP/9.9\r\n\r\n",
        "bytes that are no text": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
      }
      for (const [index, [name, follower]] of Object.entries(followers).entries()) {
        const id = index + 1
        const connection = yield* connect(running.url)
        yield* connection.write(post(id) + follower)
        const received = yield* connection.ended
        assert.deepStrictEqual(statuses(received), [202], `${name}: ${received}`)
        assert.include(received, acceptedText(id), name)
        assert.strictEqual(yield* statusOf(running, id), 200, name)
      }
    })
  )

  const follows = (name: string, send: (connection: Connection) => Effect.Effect<void>, expected: Array<number>) =>
    it.scopedLive(name, () =>
      Effect.gen(function* () {
        const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        yield* Effect.gen(function* () {
          const connection = yield* connect(yield* baseUrl)
          yield* send(connection)
          yield* Deferred.await(begun)
          yield* connection.write("GARBAGE\r\n\r\n")
          // On a connection of its own this shows that the service has read what was written before.
          const other = yield* connect(yield* baseUrl)
          yield* other.write(get("/livez"))
          yield* other.until('{"status":"ok"}')
          yield* Deferred.succeed(gate, undefined)
          const received = yield* connection.ended
          assert.deepStrictEqual(statuses(received), expected, received)
        }).pipe(Effect.provide(service({ repo: gatedRepo(begun, Deferred.await(gate)) })))
      })
    )

  follows("in the next segment", ({ write }) => write(post(1)), [202])

  follows(
    "after an answer to a request before it on the same connection",
    ({ until, write }) => Effect.zipRight(write(get("/livez") + post(1)), until('{"status":"ok"}')),
    [200, 202]
  )

  it.scopedLive("in the same segment as a request before it", () =>
    Effect.gen(function* () {
      const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      yield* Effect.gen(function* () {
        const connection = yield* connect(yield* baseUrl)
        yield* connection.write(`${get("/livez")}${post(1)}GARBAGE\r\n\r\n`)
        yield* Deferred.await(begun)
        yield* connection.until('{"status":"ok"}')
        const other = yield* connect(yield* baseUrl)
        yield* other.write(get("/livez"))
        yield* other.until('{"status":"ok"}')
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(statuses(yield* connection.ended), [200, 202])
      }).pipe(Effect.provide(service({ repo: gatedRepo(begun, Deferred.await(gate)) })))
    })
  )
})

describe("requests pipelined behind a slow one", () => {
  const holding = Effect.map(Effect.all([Deferred.make<void>(), Deferred.make<void>()]), ([begun, gate]) => ({
    begun: Deferred.await(begun),
    letGo: Deferred.succeed(gate, undefined),
    layer: service({ repo: gatedRepo(begun, Deferred.await(gate)) })
  }))
  const behind = (count: number) =>
    Arr.makeBy(count, (index) => [
      get("/api/order/1?wait=30"),
      get("/api/events"),
      head("HEAD /livez"),
      post(index + 2)
    ])
      .flat()
      .join("")

  it.scopedLive("are answered after it, in their order", () =>
    Effect.gen(function* () {
      const { begun, layer, letGo } = yield* holding
      yield* Effect.gen(function* () {
        const connection = yield* connect(yield* baseUrl)
        yield* connection.write(post(1) + get("/api/order/1") + head("HEAD /livez") + post(2) + get("/api/order/2"))
        yield* begun
        yield* letGo
        const received = yield* connection.until('{"order_id":2')
        assert.deepStrictEqual(statuses(received), [202, 200, 200, 202, 200])
      }).pipe(Effect.provide(layer))
    })
  )

  it.scopedLive("are not begun when the client hangs up, and hold up no shutdown", () =>
    Effect.gen(function* () {
      const { begun, layer, letGo } = yield* holding
      yield* Effect.gen(function* () {
        const { drain, server } = yield* NodeServer
        const url = yield* baseUrl
        const rounds = 20
        const sent = post(1) + behind(4)
        let accepted: Net.Socket | undefined
        let closed = 0
        server.on("connection", (socket) => {
          accepted = socket
          socket.once("close", () => setImmediate(() => closed++))
        })
        for (let round = 1; round <= rounds; round++) {
          accepted = undefined
          yield* Effect.scoped(
            Effect.gen(function* () {
              const connection = yield* connect(url)
              yield* connection.write(sent)
              yield* begun
              yield* until(() => accepted?.bytesRead === sent.length)
            })
          )
        }
        yield* until(() => closed === rounds)
        // None of the streams that were asked for is open.
        const watcher = yield* connect(url)
        yield* watcher.write(get("/api/events"))
        yield* watcher.until("retry:")
        yield* letGo
        yield* Effect.timeout(drain, unhindered)
        const totals = yield* Effect.flatMap(OrdersRepo, (repo) => repo.totals)
        assert.strictEqual(totals.Pending + totals.Processing + totals.Completed, 1)
      }).pipe(Effect.provide(layer))
    })
  )
})
