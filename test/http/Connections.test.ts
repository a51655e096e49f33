import type * as Http from "node:http"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Layer, Logger, LogLevel } from "effect"
import { connectionsWithin } from "../../src/http/ConnectionLimit.ts"
import { NodeServer } from "../../src/http/NodeServer.ts"
import { baseUrl, memoryRepo, processor, service } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

interface Client {
  readonly socket: Net.Socket
  /** How many answers have begun to arrive. */
  readonly answers: () => number
}

/** A connection that was made, and as the server has it. It reads unless it is paused. */
const connect = Effect.gen(function* () {
  const { server } = yield* NodeServer
  const at = server.address()
  const port = typeof at === "object" && at !== null ? at.port : 0
  const accepted = yield* Deferred.make<Net.Socket>()
  server.once("connection", (socket) => Deferred.unsafeDone(accepted, Effect.succeed(socket)))
  const client = yield* Effect.acquireRelease(
    Effect.async<Client>((resume) => {
      let count = 0
      const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed({ socket, answers: () => count })))
      socket
        .setEncoding("latin1")
        .on("error", () => {})
        .on("data", (text: string) => {
          count += text.split("HTTP/1.1 ").length - 1
        })
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )
  return { ...client, accepted: yield* Deferred.await(accepted) }
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const order = JSON.stringify({ order_id: 1, user_id: 1, item_ids: [1], total_amount: 1 })
const submit = `POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${order.length}\r\n\r\n${order}`
/** Waits as long as the order is held. */
const wait = get("/api/order/1?wait=30")

const livez = Effect.gen(function* () {
  const url = yield* baseUrl
  const { status } = yield* Effect.promise((signal) => fetch(`${url}/livez`, { signal }))
  assert.strictEqual(status, 200)
})

/** A service that holds its orders until it may go on. */
const held = Effect.map(Deferred.make<void>(), (hold) => ({
  letGo: Deferred.succeed(hold, undefined),
  layer: service({ repo: memoryRepo, processor: processor(() => Deferred.await(hold)) })
}))

describe("pipelined requests", { timeout: 120_000 }, () => {
  it.scopedLive("are read only so far ahead, and all of them answered at last", () =>
    Effect.gen(function* () {
      const { layer, letGo } = yield* held
      yield* Effect.gen(function* () {
        const pipelining = yield* connect
        pipelining.socket.write(submit + wait)
        yield* until(() => pipelining.answers() === 1)
        const behind = 5000
        pipelining.socket.write(get("/livez").repeat(behind))
        // Each answer shows that the service has been in all its sockets meanwhile.
        for (let round = 0; round < 50; round++) yield* livez
        assert.isBelow(pipelining.accepted.bytesRead, 3 * 65_536)
        assert.strictEqual(pipelining.answers(), 1)
        yield* letGo
        yield* until(() => pipelining.answers() === behind + 2)
      }).pipe(Effect.provide(layer))
    })
  )

  it.scopedLive("hold up no other connection", () =>
    Effect.gen(function* () {
      const pipelining = yield* connect
      const requests = 1000
      pipelining.socket.write(get("/livez").repeat(requests))
      yield* until(() => pipelining.answers() > 0)
      yield* livez
      assert.isBelow(pipelining.answers(), requests)
      yield* until(() => pipelining.answers() === requests)
    }).pipe(Effect.provide(service({ repo: memoryRepo })))
  )

  it.scopedLive("are cut off where most of them wait, when too many do on all connections", () =>
    Effect.gen(function* () {
      const { layer, letGo } = yield* held
      yield* Effect.gen(function* () {
        const modest = yield* connect
        modest.socket.write(submit + wait + get("/livez"))
        yield* until(() => modest.answers() === 1)
        const many: Array<Effect.Effect.Success<typeof connect>> = []
        while (many.every(({ accepted }) => !accepted.destroyed)) {
          const pipelining = yield* connect
          pipelining.socket.write(wait)
          yield* livez
          pipelining.socket.write("GET / HTTP/1.1\r\n\r\n".repeat(3600))
          yield* until(() => pipelining.accepted.bytesRead > wait.length)
          many.push(pipelining)
          assert.isBelow(many.length, 200)
        }
        assert.isAbove(many.length, 2)
        yield* livez
        yield* letGo
        yield* until(() => modest.answers() === 3)
      }).pipe(Effect.provide(layer))
    })
  )

  it.scopedLive("are refused in their turn too", () =>
    Effect.gen(function* () {
      const { layer, letGo } = yield* held
      yield* Effect.gen(function* () {
        const { socket } = yield* connect
        let received = ""
        socket.on("data", (text: string) => {
          received += text
        })
        const statuses = () => [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1]))
        const expecting = (expect: string, text: string) => text.replace("\r\n\r\n", `\r\nExpect: ${expect}\r\n\r\n`)
        socket.write(submit + wait + get("/none") + get("/livez").replace("localhost", "evil.test"))
        socket.write(expecting("100-continue", submit) + expecting("more", get("/livez")))
        yield* until(() => statuses().length === 1)
        for (let round = 0; round < 10; round++) yield* livez
        assert.deepStrictEqual(statuses(), [202])
        yield* letGo
        yield* until(() => socket.destroyed)
        assert.deepStrictEqual(statuses(), [202, 200, 404, 421, 100, 200, 417])
      }).pipe(Effect.provide(layer))
    })
  )
})

/** A server that gives each request that many bytes, and what it logs. */
const givingServer = (bytes: number, lines: Array<string>) =>
  Layer.effectDiscard(
    Effect.flatMap(NodeServer, ({ server }) =>
      Effect.async<void>((resume) => {
        server.on("request", (_request: Http.IncomingMessage, response: Http.ServerResponse) => {
          response.end(Buffer.alloc(bytes))
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      })
    )
  ).pipe(
    Layer.provideMerge(
      Layer.scopedDiscard(
        Effect.acquireRelease(NodeServer, ({ server }) => Effect.sync(() => server.close().closeAllConnections()))
      )
    ),
    Layer.provideMerge(NodeServer.layer),
    Layer.provide(Logger.minimumLogLevel(LogLevel.All)),
    Layer.provide(
      Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => void lines.push(String(message)))
      )
    )
  )

describe("answers that are not read", { timeout: 120_000 }, () => {
  it.scopedLive("are kept up to 64 MiB: beyond that the client that has not read for longest is cut off", () =>
    Effect.gen(function* () {
      const reading = yield* connect
      const deaf: Array<Effect.Effect.Success<typeof connect>> = []
      while (deaf.every(({ accepted }) => !accepted.destroyed)) {
        const client = yield* connect
        client.socket.pause().write(get("/"))
        yield* until(() => client.accepted.writableLength > 0)
        deaf.push(client)
        assert.isBelow(deaf.length, 20)
        yield* Effect.sleep("400 millis")
      }
      assert.isAtLeast(deaf.length, 4)
      assert.deepStrictEqual(
        deaf.map(({ accepted }) => accepted.destroyed),
        Arr.makeBy(deaf.length, (index) => index === 0)
      )
      reading.socket.write(get("/"))
      yield* until(() => reading.answers() === 1 && reading.accepted.writableLength === 0)
      assert.isFalse(reading.accepted.destroyed)
    }).pipe(Effect.provide(givingServer(16 * 1024 * 1024, [])))
  )
})

describe("a client that reads nothing of its answer", () => {
  it.scopedLive("is cut off after the server's timeout, and twice that at most", () =>
    Effect.gen(function* () {
      const { server } = yield* NodeServer
      server.timeout = 300
      const client = yield* connect
      client.socket.pause().write(get("/"))
      yield* until(() => client.accepted.writableLength > 0)
      yield* until(() => client.accepted.destroyed)
    }).pipe(Effect.provide(givingServer(32 * 1024 * 1024, [])))
  )
})

describe("connections", () => {
  it("are at most ten thousand, and leave a quarter of the open files", () => {
    assert.deepStrictEqual(
      [64, 100, 1024, 13_333, 20_000, 1_048_576, Number.POSITIVE_INFINITY].map(connectionsWithin),
      [16, 36, 768, 9999, 10_000, 10_000, 10_000]
    )
  })

  const lines: Array<string> = []
  it.scopedLive("beyond the limit are closed at once, which is logged once a minute", () =>
    Effect.gen(function* () {
      const { server } = yield* NodeServer
      assert.isAtLeast(server.maxConnections, 1)
      assert.isAtMost(server.maxConnections, 10_000)
      server.maxConnections = 3
      const open = yield* Effect.replicateEffect(connect, 3)
      const at = server.address()
      const port = typeof at === "object" && at !== null ? at.port : 0
      for (let more = 0; more < 5; more++) {
        yield* Effect.async<void>((resume) => {
          Net.connect(port, "127.0.0.1")
            .on("error", () => {})
            .on("close", () => resume(Effect.void))
        })
      }
      for (const client of open) {
        client.socket.write(get("/"))
        yield* until(() => client.answers() === 1)
      }
      assert.deepStrictEqual(lines, [
        "New connections are closed at once: 3 are open, as many as the limit of open files allows (ulimit -n)"
      ])
      open[0]?.socket.destroy()
      yield* until(() => open[0]?.accepted.destroyed === true)
      const next = yield* connect
      next.socket.write(get("/"))
      yield* until(() => next.answers() === 1)
    }).pipe(Effect.provide(givingServer(1, lines)))
  )

  const failures: Array<string> = []
  it.scopedLive("that cannot be accepted end nothing, and are logged once a minute", () =>
    Effect.gen(function* () {
      const { server } = yield* NodeServer
      for (const code of ["EMFILE", "ENFILE"])
        server.emit("error", Object.assign(new Error(`accept ${code}`), { code }))
      assert.strictEqual(failures.length, 1)
      const client = yield* connect
      client.socket.write(get("/"))
      yield* until(() => client.answers() === 1)
    }).pipe(Effect.provide(givingServer(1, failures)))
  )
})
