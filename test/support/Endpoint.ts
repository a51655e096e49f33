import { once } from "node:events"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { text } from "node:stream/consumers"
import { Deferred, Effect, FiberId, Queue, Schema } from "effect"
import { Webhook } from "standardwebhooks"

const Sent = Schema.Struct({
  type: Schema.Literal("order.process"),
  timestamp: Schema.String,
  order: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  run: Schema.Int,
  attempt: Schema.Int
})
const decodeSent = Schema.decodeUnknownSync(Schema.parseJson(Sent), { onExcessProperty: "error" })

export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string
  readonly sent: typeof Sent.Type
  /** Resolves when the connection is closed before the answer is complete. */
  readonly closedEarly: Effect.Effect<void>
}

export type Behave = (request: Received, response: Http.ServerResponse) => void

/** The shop's endpoint, as each request's behaviour has it. */
export interface Endpoint {
  readonly url: URL
  readonly port: number
  readonly requests: ReadonlyArray<Received>
  /** Waits for a request that was not taken yet. */
  readonly next: Effect.Effect<Received>
}

export const answer =
  (status: number, body: string | Uint8Array = "", headers: Http.OutgoingHttpHeaders = {}): Behave =>
  (_request, response) => {
    response.writeHead(status, headers).end(body)
  }

/** What the reference library says of the signature. */
export const isSignedWith = (secret: string, { body, headers }: Pick<Received, "body" | "headers">) => {
  try {
    new Webhook(secret).verify(body, headers)
    return true
  } catch {
    return false
  }
}

const listen = (server: Net.Server, port: number) =>
  Effect.promise(async () => {
    await once(server.listen(port, "127.0.0.1"), "listening")
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  })

export const startEndpoint = (
  behave: Behave,
  options: { readonly port?: number; readonly tls?: { readonly key: string; readonly cert: string } } = {}
) =>
  Effect.gen(function* () {
    const requests: Array<Received> = []
    const queue = yield* Queue.unbounded<Received>()
    const handle: Http.RequestListener = async (request, response) => {
      const body = await text(request).catch(() => undefined)
      // The sender hung up in the middle of its body.
      if (body === undefined) return
      const closed = Deferred.unsafeMake<void>(FiberId.none)
      response.on("close", () => {
        if (!response.writableFinished) Deferred.unsafeDone(closed, Effect.void)
      })
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      const received: Received = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers,
        body,
        sent: decodeSent(body),
        closedEarly: Deferred.await(closed)
      }
      requests.push(received)
      queue.unsafeOffer(received)
      behave(received, response)
    }
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const server = options.tls ? Https.createServer(options.tls, handle) : Http.createServer(handle)
        // On a slow machine it must not hang up on a sender that is about to use the connection again.
        server.keepAliveTimeout = 60_000
        return server
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    )
    const port = yield* listen(server, options.port ?? 0)
    const url = new URL(`${options.tls ? "https" : "http"}://127.0.0.1:${port}/hook`)
    return { url, port, requests, next: Queue.take(queue) } satisfies Endpoint
  })

/** An HTTP server that answers whatever it likes. */
export const startHttp = (handle: Http.RequestListener) =>
  Effect.gen(function* () {
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => Http.createServer(handle)),
      (server) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    )
    return new URL(`http://127.0.0.1:${yield* listen(server, 0)}`)
  })

/** A server that speaks no HTTP of its own. */
export const startRaw = (onConnection: (socket: Net.Socket) => void) =>
  Effect.gen(function* () {
    const sockets = new Set<Net.Socket>()
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        Net.createServer((socket) => {
          sockets.add(socket.on("error", () => {}))
          onConnection(socket)
        })
      ),
      (server) =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    return new URL(`http://127.0.0.1:${yield* listen(server, 0)}/hook`)
  })

/** A port nobody listens on. */
export const closedPort = Effect.scoped(
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => Net.createServer()),
      (server) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
    ),
    (server) => listen(server, 0)
  )
)
