import { isUtf8 } from "node:buffer"
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import { Context, Data, Effect, Schema } from "effect"
import { type BodyRules, bulkOrders, orderLimit } from "../api/BodyRules.ts"
import { BodyTooLarge, MalformedRequest, TooManyBytes, UnsupportedMediaType } from "../api/Problems.ts"
import { Malformed } from "../Json.ts"
import { isArray, linesOf, membersOf, type Piece, parsePiece, wholeOf } from "../JsonBytes.ts"
import { inTurn } from "../NextTurn.ts"
import type { Holding } from "./BodyBudget.ts"

/** A body as the guard has read it: JSON, or many orders, each of them yet to be parsed. */
export type Body = Data.TaggedEnum<{
  Json: { readonly value: unknown }
  Many: { readonly bytes: Buffer; readonly pieces: ReadonlyArray<Piece> }
}>
export const Body = Data.taggedEnum<Body>()

/** What is decoded where one value is expected: many orders are none. */
export const jsonOf = (body: Body) => (body._tag === "Json" ? body.value : undefined)

/** The body of the request. The guard reads it once, so nothing is left of it in the request itself. */
export class RequestBody extends Context.Reference<RequestBody>()("orders/RequestBody", {
  defaultValue: (): Body => Body.Json({ value: undefined })
}) {}

/** The body of the request by that schema; anything else is one 422 with all faults. */
export const payload = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknown(schema)
  return Effect.flatMap(RequestBody, (body) =>
    Effect.catchAll(decode(jsonOf(body)), HttpApiDecodeError.refailParseError)
  )
}

/** The media type of lines of JSON. */
const linesType = "application/x-ndjson"

/** JSON is also meant where no media type is given. */
const mediaTypeOf = (headers: IncomingHttpHeaders) =>
  (headers["content-type"] ?? "application/json").split(";", 1)[0]?.trim().toLowerCase()

/** What is wrong with the media type, which is JSON or lines of JSON, in UTF-8. */
const wrongMediaType = (headers: IncomingHttpHeaders, lines: boolean): string | undefined => {
  const type = mediaTypeOf(headers)
  if (type !== "application/json" && !(lines && type === linesType)) {
    return `Send the body as Content-Type: application/json${lines ? ` or ${linesType}` : ""}, not ${JSON.stringify(type)}.`
  }
  const [, ...parameters] = (headers["content-type"] ?? "").toLowerCase().split(";")
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1])
    .find(Boolean)
  if (charset !== undefined && charset !== "utf-8" && charset !== "utf8") return "Send the JSON in UTF-8."
  const encoding = headers["content-encoding"]
  return encoding === undefined || encoding === "identity" ? undefined : "Send the body without a Content-Encoding."
}

/** What has been read, in one piece, however small the chunks were in which it came. */
const makeCollected = (limit: number) => {
  let bytes: Buffer = Buffer.alloc(0)
  let size = 0
  return {
    add: (chunk: Buffer) => {
      if (size === 0) bytes = chunk
      else {
        if (size + chunk.length > bytes.length) {
          const larger = Buffer.allocUnsafe(Math.min(limit, Math.max(size * 2, size + chunk.length)))
          bytes.copy(larger, 0, 0, size)
          bytes = larger
        }
        chunk.copy(bytes, size)
      }
      size += chunk.length
    },
    size: () => size,
    all: () => bytes.subarray(0, size)
  }
}

type Refusal = BodyTooLarge | MalformedRequest | TooManyBytes

const read = (incoming: IncomingMessage, limit: number, holding: Holding): Effect.Effect<Buffer, Refusal> =>
  Effect.async((resume) => {
    const collected = makeCollected(limit)
    const onData = (chunk: Buffer) => {
      if (collected.size() + chunk.length > limit) end(new BodyTooLarge({ limit }))
      else if (!holding.add(chunk.length)) end(new TooManyBytes({ retry_after: 1 }))
      else collected.add(chunk)
    }
    const onEnd = () => end(Effect.succeed(collected.all()))
    const onClose = () => end(new MalformedRequest({ detail: "The connection closed before the body was complete." }))
    const stop = () => incoming.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onClose)
    const end = (result: Effect.Effect<Buffer, Refusal>) => {
      stop()
      resume(result)
    }
    incoming.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onClose)
    return Effect.sync(stop)
  })

const json = (bytes: Buffer): Body | Malformed => {
  const value = parsePiece(bytes, wholeOf(bytes))
  return value instanceof Malformed ? value : Body.Json({ value })
}

/** The orders of a bulk call, found in the bytes: a large text is never parsed as a whole. */
const many = (bytes: Buffer, isLines: boolean): Body | Malformed => {
  if (!isLines && !isArray(bytes)) return bytes.length > orderLimit ? Body.Json({ value: undefined }) : json(bytes)
  const pieces = isLines ? linesOf(bytes, bulkOrders) : membersOf(bytes, bulkOrders)
  return pieces instanceof Malformed ? pieces : Body.Many({ bytes, pieces })
}

/** What the bytes say, as far as it is looked at before the handler, or what is wrong with it. */
const decode = (bytes: Buffer, headers: IncomingHttpHeaders, lines: boolean): Body | Malformed => {
  if (bytes.length === 0) return new Malformed("is empty; send JSON")
  if (!isUtf8(bytes)) return new Malformed("is not UTF-8")
  return lines ? many(bytes, mediaTypeOf(headers) === linesType) : json(bytes)
}

/**
 * Reads and checks the body of a request. What is refused for its headers has not been read. Bytes that are read are
 * added to the holding, which the caller ends with the request.
 */
export const readBody = (
  incoming: IncomingMessage,
  { limit, lines }: BodyRules["Type"],
  holding: Holding
): Effect.Effect<Body, Refusal | UnsupportedMediaType> => {
  const { headers } = incoming
  const wrong = wrongMediaType(headers, lines)
  if (wrong !== undefined) return new UnsupportedMediaType({ detail: wrong })
  if (Number(headers["content-length"] ?? 0) > limit) return new BodyTooLarge({ limit })
  return Effect.flatMap(Effect.interruptible(read(incoming, limit, holding)), (bytes) => {
    const decoded = Effect.suspend(() => {
      const body = decode(bytes, headers, lines)
      return body instanceof Malformed
        ? new MalformedRequest({ detail: `The body ${body.why}.` })
        : Effect.succeed(body)
    })
    return bytes.length > orderLimit ? inTurn(decoded) : decoded
  })
}
