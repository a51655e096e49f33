import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import type { Socket } from "node:net"
import type * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Deferred, Effect, FiberId, Layer, Predicate } from "effect"
import { AppConfig } from "../AppConfig.ts"
import {
  type AnyProblem,
  answerOf,
  ExpectationFailed,
  HeadersTooLarge,
  MalformedRequest,
  RequestTimeout,
  Starting
} from "../api/Problems.ts"
import { StartupError } from "../StartupError.ts"

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

/** The answer to what never reaches the application. */
const lastAnswer = (problem: AnyProblem) => {
  const { headers, status, text } = answerOf(problem)
  return {
    status,
    headers: {
      ...headers,
      "content-length": Buffer.byteLength(text),
      "x-content-type-options": "nosniff",
      "x-request-id": randomUUID(),
      connection: "close"
    },
    text
  }
}

const problemOf = (error: Error) => {
  const code = Predicate.hasProperty(error, "code") ? error.code : undefined
  if (code === "HPE_HEADER_OVERFLOW") return new HeadersTooLarge()
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new RequestTimeout()
  return new MalformedRequest({ detail: "This is not an HTTP request that can be read." })
}

const respond = (response: Http.ServerResponse, problem: AnyProblem) => {
  const { headers, status, text } = lastAnswer(problem)
  response.writeHead(status, headers).end(text)
}

/**
 * Waits until the requests before it on its connection have been answered. What is pipelined behind a slow request is
 * begun only then, and not at all if the connection ends before.
 */
export const turnOf = (response: Http.ServerResponse) =>
  Effect.async<void>((resume) => {
    const begin = () => resume(Effect.void)
    response.once("socket", begin)
    return Effect.sync(() => response.off("socket", begin))
  })

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
  static readonly layer = Layer.sync(this, () => {
    const server = Http.createServer(options).setTimeout(stalledMillis)
    let isDraining = false
    const draining = Deferred.unsafeMake<void>(FiberId.none)
    let running = 0
    let whenIdle = () => {}
    /** The answers that each socket still owes, the one to be sent next first. */
    const owed = new WeakMap<Socket, Set<Http.ServerResponse>>()
    const owesAnswer = (socket: Socket) => Array.from(owed.get(socket) ?? []).some(({ req }) => req.complete)
    /** Sockets that sent something unreadable behind a request: they are closed after its answer. */
    const broken = new WeakSet<Socket>()

    const owedOf = (socket: Socket) => {
      const found = owed.get(socket)
      if (found !== undefined) return found
      const responses = new Set<Http.ServerResponse>()
      owed.set(socket, responses)
      // Node itself notifies only the response whose turn it is.
      socket.once("close", () => {
        for (const response of responses) if (response.socket === null) response.emit("close")
      })
      return responses
    }

    server.on("request", (request, response) => {
      const { socket } = request
      const responses = owedOf(socket).add(response)
      response.once("close", () => {
        responses.delete(response)
        if (broken.has(socket) && !owesAnswer(socket)) socket.destroySoon()
        // No answer can be sent any more, and none is to be waited for.
        if (!response.writableEnded) setImmediate(() => response.end())
      })
      const begin = () => {
        running += 1
        response.once("close", () => {
          running -= 1
          if (running === 0) whenIdle()
        })
      }
      if (response.socket === null) response.once("socket", begin)
      else begin()
      // The absolute form that proxies use (RFC 9112, 3.2.2).
      request.url = request.url?.replace(/^https?:\/\/[^/?]*(?=[/?]|$)/i, "") || "/"
      if (server.listenerCount("request") === 1) {
        respond(response, new Starting({ retry_after: 1 }))
      }
    })
    server.on("timeout", (socket) => {
      // An answer that takes its time has sent nothing that could be read.
      const answers = (owed.get(socket)?.size ?? 0) > 0
      if (socket.writableLength > 0 || !answers) socket.destroy()
    })
    server.on("checkExpectation", (_request, response) => {
      respond(response, new ExpectationFailed())
    })
    server.on("clientError", (error: Error, socket: Socket) => {
      // A complete request before it may be an order that is being stored: its answer must not be replaced by this one.
      if (owesAnswer(socket)) return broken.add(socket)
      if (!socket.writable || socket.destroyed) return socket.destroy()
      const { headers, status, text } = lastAnswer(problemOf(error))
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      return socket.end(`HTTP/1.1 ${status} ${Http.STATUS_CODES[status]}\r\n${lines.join("")}\r\n${text}`)
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
