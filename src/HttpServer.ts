import * as Http from "node:http"
import type { Socket } from "node:net"
import type * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Effect, Layer, Predicate } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { mediaType } from "./Problem.ts"
import { StartupError } from "./StartupError.ts"

const options = {
  // Node would answer a missing Host without a body; the guard has one.
  requireHostHeader: false,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 2000
}

/** Running requests that have not ended by then are cut off, in milliseconds. */
const drainMillis = 10_000

/** The answers to what never becomes a request, with a body like every other error. */
const refusal = (status: number, detail: string) => {
  const title = Http.STATUS_CODES[status]
  const body = JSON.stringify({ type: "about:blank", title, status, detail })
  const headers = { "content-type": mediaType, "content-length": Buffer.byteLength(body), connection: "close" }
  return { body, headers, title }
}

const unparsable = (error: Error, socket: Socket) => {
  if (!socket.writable || socket.destroyed) return socket.destroy()
  const code = Predicate.hasProperty(error, "code") ? error.code : undefined
  const [status, detail]: [number, string] =
    code === "HPE_HEADER_OVERFLOW"
      ? [431, "The request's headers are too large."]
      : code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? [408, "The request did not arrive in time."]
        : [400, "This is not an HTTP request that can be read."]
  const { body, headers, title } = refusal(status, detail)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join("")}\r\n${body}`)
}

const unexpected = (_request: Http.IncomingMessage, response: Http.ServerResponse) => {
  const { body, headers } = refusal(417, "The request's Expect header asks for what is not offered.")
  response.writeHead(417, headers).end(body)
}

/** Node's HTTP server with its limits, and what is known of its shutting down. */
export class NodeServer extends Context.Tag("orders/NodeServer")<
  NodeServer,
  {
    readonly server: Http.Server
    readonly isDraining: () => boolean
    /**
     * Ends HTTP: from now on new work is refused and connections are not kept; then waits until every running request
     * has been answered, 10 seconds at most, and closes what is left.
     */
    readonly drain: Effect.Effect<void>
  }
>() {
  static readonly layer = Layer.sync(this, () => {
    const server = Http.createServer(options)
    let draining = false
    let running = 0
    let whenIdle = () => {}
    server.on("clientError", unparsable)
    server.on("checkExpectation", unexpected)
    server.on("request", (_request, response) => {
      running += 1
      response.on("close", () => {
        running -= 1
        if (running === 0) whenIdle()
      })
    })
    const idle = Effect.async<void>((resume) => {
      whenIdle = () => resume(Effect.void)
      if (running === 0) whenIdle()
    })
    return {
      server,
      isDraining: () => draining,
      drain: Effect.suspend(() => {
        draining = true
        return Effect.zipRight(
          Effect.timeoutOption(Effect.interruptible(idle), drainMillis),
          Effect.sync(() => server.closeAllConnections())
        )
      })
    }
  })
}

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
        return new StartupError({ lines: [`HOST, PORT: ${host}:${port} ${why}`] })
      })
    )
  })
)

/** Built after the server, so released before it: its release is the first step of a shutdown. */
export const DrainLive = Layer.scopedDiscard(Effect.acquireRelease(NodeServer, (server) => server.drain))
