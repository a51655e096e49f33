import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import { Schema } from "effect"
import { RetryAfter } from "../order/Order.ts"

/** The media type of every error body, by RFC 9457. */
export const mediaType = "application/problem+json"

/** The `type` of a problem, the one member to switch on: `OrderNotFound` is `urn:orders:problem:order-not-found`. */
export const problemType = (tag: string) =>
  `urn:orders:problem:${tag.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()}`

/** The members every problem has, by RFC 9457. */
export const problemFields = (tag: string, options: { readonly status: number; readonly title: string }) => ({
  type: Schema.Literal(problemType(tag)),
  title: Schema.Literal(options.title),
  status: Schema.Literal(options.status),
  detail: Schema.String
})

/** Every problem that says how long to wait says so in the header too: see `answerOf`. */
const waiting = {
  retry_after: RetryAfter.annotations({ description: "Seconds to wait; also in the Retry-After header" })
}

/**
 * The wire form of a tagged error: a problem body with the error's own fields beside the standard members.
 * Status and media type stand in the schema, so the response, OpenAPI and the typed client agree on them.
 */
export const asProblem = <Self, Tag extends string, Encoded extends { readonly _tag: Tag }>(
  error: Schema.Schema<Self, Encoded> & { readonly _tag: Tag; readonly fields: Schema.Struct.Fields },
  options: { readonly status: number; readonly title: string; readonly detail: (error: Self) => string }
) => {
  const tag = error._tag
  const { fields } = error
  const { _tag, detail: _detail, retry_after: _retryAfter, ...own } = fields
  const standard = problemFields(tag, options)
  return Schema.transform(
    Schema.extend(
      "retry_after" in fields ? Schema.Struct({ ...standard, ...waiting }) : Schema.Struct(standard),
      Schema.encodedSchema(Schema.Struct(own))
    ).annotations({ identifier: tag }),
    error,
    {
      strict: false,
      decode: ({ type: _, title: _1, status: _2, ...own }) => ({ _tag: tag, ...own }),
      encode: ({ _tag: _, ...own }, error) => ({
        type: problemType(tag),
        title: options.title,
        status: options.status,
        detail: options.detail(error),
        ...own
      })
    }
  )
    .annotations(HttpApiSchema.annotations({ description: options.title, status: options.status }))
    .pipe(HttpApiSchema.withEncoding({ kind: "Json", contentType: mediaType }))
}
