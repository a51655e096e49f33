import { isUtf8 } from "node:buffer"
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import { Context, Data, Effect, Schema } from "effect"
import type { BodyRules } from "../api/BodyRules.ts"
import { BodyTooLarge, MalformedRequest, UnsupportedMediaType } from "../api/Problems.ts"
import { checked, Malformed, parseJson } from "../Json.ts"

/** A body as the guard has read it: JSON, checked, or the lines of it that are not empty, yet to be parsed. */
export type Body = Data.TaggedEnum<{
  Json: { readonly value: unknown }
  Lines: { readonly lines: ReadonlyArray<string> }
}>
export const Body = Data.taggedEnum<Body>()

/** The body of the request. The guard reads it once, so nothing is left of it in the request itself. */
export class RequestBody extends Context.Reference<RequestBody>()("orders/RequestBody", {
  defaultValue: (): Body => Body.Json({ value: undefined })
}) {}

/** The body of the request by that schema; anything else is one 422 with all faults. */
export const payload = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknown(schema)
  return Effect.flatMap(RequestBody, (body) =>
    Effect.catchAll(decode(body._tag === "Json" ? body.value : body.lines), HttpApiDecodeError.refailParseError)
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

const read = (incoming: IncomingMessage, limit: number): Effect.Effect<Buffer, BodyTooLarge | MalformedRequest> =>
  Effect.async((resume) => {
    const chunks: Array<Buffer> = []
    let size = 0
    const onData = (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
      if (size > limit) end(new BodyTooLarge({ limit }))
    }
    const onEnd = () => end(Effect.succeed(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
    const onClose = () => end(new MalformedRequest({ detail: "The connection closed before the body was complete." }))
    const stop = () => incoming.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onClose)
    const end = (result: Effect.Effect<Buffer, BodyTooLarge | MalformedRequest>) => {
      stop()
      resume(result)
    }
    incoming.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onClose)
    return Effect.sync(stop)
  })

/** What the bytes say, as far as it is looked at before the handler, or what is wrong with it. */
const decode = (bytes: Buffer, headers: IncomingHttpHeaders, lines: boolean): Body | Malformed => {
  if (bytes.length === 0) return new Malformed("is empty; send JSON")
  if (!isUtf8(bytes)) return new Malformed("is not UTF-8")
  const text = bytes.toString()
  if (mediaTypeOf(headers) === linesType) {
    return Body.Lines({ lines: text.split("\n").filter((line) => line.trim() !== "") })
  }
  const json = parseJson(text)
  // Of many orders each is checked for itself, by the handler.
  const value = lines && Array.isArray(json) ? json : checked(json)
  return value instanceof Malformed ? value : Body.Json({ value })
}

/** Reads and checks the body of a request. What is refused for its headers has not been read. */
export const readBody = (
  incoming: IncomingMessage,
  { limit, lines }: BodyRules["Type"]
): Effect.Effect<Body, BodyTooLarge | MalformedRequest | UnsupportedMediaType> => {
  const { headers } = incoming
  const wrong = wrongMediaType(headers, lines)
  if (wrong !== undefined) return new UnsupportedMediaType({ detail: wrong })
  if (Number(headers["content-length"] ?? 0) > limit) return new BodyTooLarge({ limit })
  return Effect.flatMap(Effect.interruptible(read(incoming, limit)), (bytes) => {
    const body = decode(bytes, headers, lines)
    return body instanceof Malformed ? new MalformedRequest({ detail: `The body ${body.why}.` }) : Effect.succeed(body)
  })
}
