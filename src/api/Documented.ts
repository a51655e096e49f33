import * as OpenApi from "@effect/platform/OpenApi"
import { mediaType } from "./Problem.ts"

interface Documented {
  readonly summary: string
  readonly description: string
  readonly request?: unknown
  readonly answers: { readonly [status: number]: DocumentedAnswer }
}

interface DocumentedAnswer {
  readonly example: unknown
  /** Where it is not what the schema says of itself. */
  readonly description?: string
  readonly headers?: object
}

export const header = (type: string, description: string) => ({ description, schema: { type } })

/** What HttpApi itself has no place for: examples, answer headers, and a description for each status of one schema. */
export const documented = ({ answers, description, request, summary }: Documented) =>
  OpenApi.annotations({
    summary,
    description,
    transform: (operation) => {
      if (request !== undefined) operation.requestBody.content["application/json"].example = request
      for (const [status, { example, ...others }] of Object.entries(answers)) {
        const response = operation.responses[status]
        Object.assign(response, others)
        for (const content of Object.values<object>(response.content)) Object.assign(content, { example })
      }
      return operation
    }
  })

/** What the schemas of Effect call themselves, as `maxLength(64)`: generators would make names and comments of it. */
const withoutTitles = (schema: object): void => {
  for (const [key, value] of Object.entries(schema)) {
    if ((key === "title" || key === "$id") && typeof value === "string") Reflect.deleteProperty(schema, key)
    else if (key !== "example" && typeof value === "object" && value !== null) withoutTitles(value)
  }
}

const retryAfter = { "Retry-After": header("integer", "Seconds to wait") }
const challenge = { "WWW-Authenticate": header("string", "How to authenticate, by RFC 6750") }

/** What is sent with the problems of a status: see `answerOf`. */
const problemHeaders: { readonly [status: string]: object } = {
  401: challenge,
  403: challenge,
  429: retryAfter,
  503: retryAfter
}

/** The document as HttpApi makes it, with what generators and the docs page trip over mended. */
export const mended = OpenApi.annotations({
  transform: (spec) => {
    for (const operation of Object.values<object>(spec.paths).flatMap((path) => Object.values(path))) {
      if (operation.parameters.length === 0 && operation.requestBody === undefined) delete operation.responses[422]
      for (const [status, response] of Object.entries<{ content: object; headers?: object }>(operation.responses)) {
        // Where one status has several problems, HttpApi forgets their media type.
        if (Number(status) >= 400) response.content = { [mediaType]: Object.values(response.content)[0] }
        const headers = problemHeaders[status]
        if (headers !== undefined) response.headers = headers
      }
      withoutTitles(operation)
    }
    withoutTitles(spec.components)
    return spec
  }
})
