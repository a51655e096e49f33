import type * as Http from "node:http"
import type { Socket } from "node:net"
import type * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Deferred, Effect, FiberId, Layer, Predicate } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { ExpectationFailed, Starting } from "../api/Problems.ts"
import { StartupError } from "../StartupError.ts"
import { limitConnections } from "./ConnectionLimit.ts"
import { endWith, respond } from "./LastAnswer.ts"
import { TurnServer } from "./TurnServer.ts"
import { limitUnread } from "./UnreadAnswers.ts"

const options = {
  // Node would answer a missing Host without a body; the guard has one.
  requireHostHeader: false,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 2000
}

/** A connection on which an answer does not get on for so long, because its client does not read it, is cut off. */
const stalledMillis = 60_000

/** Running requests that have not ended by then are cut off, in milliseconds. */
const drainMillis = 8000

/** Node's HTTP server with its limits, and what is known of its shutting down. */
export class NodeServer extends Context.Tag("orders/NodeServer")<
  NodeServer,
  {
    readonly server: Http.Server
    readonly isDraining: () => boolean
    /** Ends when the drain begins: what waits or streams ends then too. */
    readonly draining: Effect.Effect<void>
    /**
     * Ends HTTP: from now on new work is refused and connections are not kept; then waits until every running request
     * has been answered, 8 seconds at most, and closes the server and what is left.
     */
    readonly drain: Effect.Effect<void>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const server = new TurnServer(options).setTimeout(stalledMillis)
      yield* limitConnections(server)
      yield* limitUnread(server)
      let isDraining = false
      const draining = Deferred.unsafeMake<void>(FiberId.none)
      let running = 0
      let whenIdle = () => {}

      server.on("request", (request, response) => {
        running += 1
        response.once("close", () => {
          running -= 1
          if (running === 0) whenIdle()
          // No answer can be sent any more, and none is to be waited for.
          if (!response.writableEnded) setImmediate(() => response.end())
        })
        // The absolute form that proxies use (RFC 9112, 3.2.2).
        request.url = request.url?.replace(/^https?:\/\/[^/?]*(?=[/?]|$)/i, "") || "/"
        if (server.listenerCount("request") === 1) {
          respond(response, new Starting({ retry_after: 1 }))
        }
      })
      server.on("timeout", (socket) => {
        // An answer that takes its time has sent nothing that could be read.
        if (socket.writableLength > 0 || !server.owes(socket)) socket.destroy()
      })
      server.on("checkExpectation", (_request, response) => {
        respond(response, new ExpectationFailed())
      })
      server.on("clientError", (error: Error, socket: Socket) => {
        // A complete request before it may be an order that is being stored: its answer must not be replaced by this one.
        if (server.closeWhenAnswered(socket)) return
        if (!socket.writable || socket.destroyed) socket.destroy()
        else endWith(socket, error)
      })
      const idle = Effect.async<void>((resume) => {
        whenIdle = () => resume(Effect.void)
        if (running === 0) whenIdle()
      })
      return {
        server,
        isDraining: () => isDraining,
        draining: Deferred.await(draining),
        drain: Effect.suspend(() => {
          isDraining = true
          Deferred.unsafeDone(draining, Effect.void)
          return Effect.zipRight(
            Effect.timeoutOption(Effect.interruptible(idle), drainMillis),
            Effect.sync(() => {
              server.close()
              server.closeAllConnections()
            })
          )
        })
      }
    })
  )
}

/** An address of IPv6 stands in brackets before a port. */
const authority = (host: string, port: number) => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** Logs where it listens. */
export const AddressLive = Layer.effectDiscard(
  Effect.flatMap(NodeServer, ({ server }) => {
    const at = server.address()
    return typeof at === "object" && at !== null
      ? Effect.logInfo(`Listening on http://${authority(at.address, at.port)}`)
      : Effect.void
  })
)

/** Listens on `HOST` and `PORT`. An address that cannot be had is a `StartupError` of one line. */
export const ServerLive: Layer.Layer<
  HttpServer.HttpServer | Layer.Layer.Success<typeof NodeHttpServer.layerContext>,
  StartupError,
  AppConfig | NodeServer
> = Layer.unwrapEffect(
  Effect.gen(function* () {
    const { host, port } = yield* AppConfig
    const { server } = yield* NodeServer
    return NodeHttpServer.layer(() => server, { host, port, backlog: 4096 }).pipe(
      Layer.mapError(({ cause }) => {
        const code = Predicate.hasProperty(cause, "code") ? cause.code : cause
        const why =
          code === "EADDRINUSE" ? "is in use: stop the other program, or set another PORT" : `cannot be had: ${code}`
        return new StartupError({ lines: [`HOST, PORT: ${authority(host, port)} ${why}`] })
      })
    )
  })
)

/** Built last, so released first: its release is the first step of a shutdown. */
export const DrainLive = Layer.scopedDiscard(Effect.acquireRelease(NodeServer, (server) => server.drain))
