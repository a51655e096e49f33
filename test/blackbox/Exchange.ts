import * as Http from "node:http"
import { buffer } from "node:stream/consumers"
import { Effect } from "effect"

export interface Request {
  readonly method?: string
  readonly path: string
  readonly headers?: Http.OutgoingHttpHeaders
  readonly body?: string | Buffer
}

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
}

/** Takes nothing but UTF-8, so that two answers of the same text have the same bytes. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Sends a request as it stands, on a connection of its own. */
export const exchange = (url: string, { body, headers = {}, method = "GET", path }: Request) =>
  Effect.async<Answer>((resume) => {
    const { hostname, port } = new URL(url)
    const request = Http.request({ hostname, port, method, path, headers, agent: false }, (response) => {
      const { headers, statusCode: status = 0 } = response
      buffer(response).then(
        (bytes) => resume(Effect.sync(() => ({ status, headers, text: utf8.decode(bytes) }))),
        (cause) => resume(Effect.die(cause))
      )
    }).on("error", (cause) => resume(Effect.die(cause)))
    if (body !== undefined) request.setHeader("content-length", Buffer.byteLength(body)).write(body)
    request.end()
    return Effect.sync(() => request.destroy())
  })
