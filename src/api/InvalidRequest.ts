import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import { Schema } from "effect"
import { mediaType, problemFields, problemType } from "./Problem.ts"

export const Fault = Schema.Struct({
  pointer: Schema.String.annotations({ description: "A JSON Pointer by RFC 6901, empty for the whole" }),
  detail: Schema.String
}).annotations({ identifier: "Fault" })

/** Where the faults are, each place once: of the members of a union the first says what was expected. */
export const faults = (
  issues: ReadonlyArray<{ readonly path: ReadonlyArray<PropertyKey>; readonly message: string }>
) => {
  const details = new Map<string, string>()
  for (const { message, path } of issues) {
    const pointer = path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
    if (!details.has(pointer))
      details.set(pointer, message.includes("(Encoded side)") ? "expected a JSON object" : message)
  }
  return Array.from(details, ([pointer, detail]) => ({ pointer, detail }))
}

const invalidRequest = { status: 422, title: "Invalid request" }
const invalidRequestType = problemType("InvalidRequest")
export const maxFaults = 100

/** Every decode failure of path, query or body, as one 422 with a JSON Pointer (RFC 6901) to each fault. */
export const InvalidRequest = Schema.transform(
  Schema.Struct({
    ...problemFields("InvalidRequest", invalidRequest),
    errors: Schema.Array(Fault)
  }),
  Schema.typeSchema(HttpApiDecodeError),
  {
    strict: true,
    decode: ({ detail, errors }) =>
      new HttpApiDecodeError({
        message: detail,
        issues: errors.map((error) => ({
          _tag: "Type" as const,
          path: error.pointer
            .split("/")
            .slice(1)
            .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~")),
          message: error.detail
        }))
      }),
    encode: ({ issues }) => {
      const errors = faults(issues)
      const shown = errors.slice(0, maxFaults)
      const found = errors.length === 1 ? "1 fault" : `${errors.length} faults`
      return {
        type: invalidRequestType,
        title: invalidRequest.title,
        status: invalidRequest.status,
        detail: `The request has ${found}${errors.length > maxFaults ? `, the first ${maxFaults} are listed` : ""}.`,
        errors: shown
      }
    }
  }
)
  .pipe(HttpApiSchema.withEncoding({ kind: "Json", contentType: mediaType }))
  // Last, for other annotations take an identifier away.
  .annotations(HttpApiSchema.annotations({ identifier: "InvalidRequest", description: "Invalid request", status: 422 }))
