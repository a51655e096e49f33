import type { IncomingMessage } from "node:http"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Option, Schema, Stream } from "effect"
import { mediaType } from "../api/Problem.ts"
import {
  type BodyTooLarge,
  BodyTooLargeProblem,
  DrainingProblem,
  ForeignOriginProblem,
  InternalErrorProblem,
  MalformedRequestProblem,
  MethodNotAllowedProblem,
  MisdirectedRequestProblem,
  RouteNotFoundProblem,
  UnsupportedMediaTypeProblem
} from "../api/Problems.ts"

/** Everything that can be refused before a handler sees the request. */
const Refusal = Schema.Union(
  MalformedRequestProblem,
  MisdirectedRequestProblem,
  ForeignOriginProblem,
  RouteNotFoundProblem,
  MethodNotAllowedProblem,
  BodyTooLargeProblem,
  UnsupportedMediaTypeProblem,
  InternalErrorProblem,
  DrainingProblem
)
export const isRefusal = Schema.is(Refusal)
const encodeRefusal = Schema.encodeSync(Refusal)
type Refusal = typeof Refusal.Type

export const refuse = (error: Refusal) => {
  const body = encodeRefusal(error)
  return HttpServerResponse.unsafeJson(body, {
    status: body.status,
    headers: error._tag === "MethodNotAllowed" ? { allow: error.allow.join(", ") } : {},
    contentType: mediaType
  })
}

/** How much of a body that is refused is still read, so that the client gets to see why. */
const discardLimit = 16 * 1024 * 1024

/**
 * The answer to a body that is too large. It goes out at once; then the rest of the body is read and thrown away for a
 * while before the connection closes, because a client still sending would see a reset in place of the answer.
 */
export const refuseBody = (error: BodyTooLarge, incoming: IncomingMessage) => {
  const body = Buffer.from(JSON.stringify(encodeRefusal(error)))
  const discard = Effect.async<void>((resume) => {
    let left = discardLimit
    const done = () => resume(Effect.void)
    incoming.on("data", (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) done()
    })
    incoming.on("end", done).on("close", done).on("error", done).resume()
    if (incoming.readableEnded || incoming.destroyed) done()
  })
  return HttpServerResponse.stream(
    Stream.concat(Stream.make(body), Stream.drain(Effect.timeoutOption(discard, "5 seconds"))),
    { status: 413, headers: { connection: "close" }, contentType: mediaType, contentLength: body.length }
  )
}

const decodeWait = Schema.decodeUnknownOption(Schema.parseJson(Schema.Struct({ retry_after: Schema.NonNegativeInt })))

/** The `Retry-After` of an answer that asks to wait: the `retry_after` of its problem, whoever made it. */
export const retryAfterOf = ({ body, status }: HttpServerResponse.HttpServerResponse) =>
  (status === 429 || status === 503) && body._tag === "Uint8Array"
    ? decodeWait(new TextDecoder().decode(body.body))
    : Option.none()
