import type { IncomingMessage } from "node:http"
import type * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Chunk, Effect, Stream } from "effect"
import { type AnyProblem, answerOf, isProblem } from "../api/Problems.ts"

export const refuse = (problem: AnyProblem) => {
  const { headers, status, text } = answerOf(problem)
  return HttpServerResponse.text(text, { status, headers, contentType: headers["content-type"] })
}

/** How much of a body that is refused is still read, so that the client gets to see why. */
const discardLimit = 16 * 1024 * 1024

/**
 * The answer to a body that is not read to its end. It goes out at once; then the rest of the body is read and thrown away for a
 * while before the connection closes, because a client still sending would see a reset in place of the answer.
 */
export const refuseBody = (error: AnyProblem, incoming: IncomingMessage) => {
  const { headers, status, text } = answerOf(error)
  const body = Buffer.from(text)
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
    {
      status,
      headers: { ...headers, connection: "close" },
      contentType: headers["content-type"],
      contentLength: body.length
    }
  )
}

/** A handler that answers with its problems. HttpApi would encode them too, but sets no header by them. */
export const refusing = <A, E, R>(answer: Effect.Effect<A, E, R>) =>
  Effect.catchIf(answer, isProblem, (problem) => Effect.succeed(refuse(problem)))

/** The same for all handlers of a group, which have been checked to fail only as the contract says. */
export const allRefusing = <E, Provides, R>(handlers: HttpApiBuilder.Handlers<E, Provides, R>): typeof handlers =>
  Object.create(handlers, {
    handlers: {
      value: Chunk.map(handlers.handlers, (item) => ({
        ...item,
        handler: (request: Parameters<typeof item.handler>[0]) => refusing(item.handler(request))
      }))
    }
  })
