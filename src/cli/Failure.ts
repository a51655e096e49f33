import * as ValidationError from "@effect/cli/ValidationError"
import * as HttpApi from "@effect/platform/HttpApi"
import type { HttpClientError, RequestError, ResponseError } from "@effect/platform/HttpClientError"
import { Data, Effect, Option, ParseResult, Predicate, Schema } from "effect"
import { Api, faults } from "../Api.ts"

/** A command that could not do what it was asked for, as lines for people. 1: it failed; 2: it was asked wrongly. */
export class Failure extends Data.TaggedError("Failure")<{
  readonly lines: ReadonlyArray<string>
  readonly exitCode: 1 | 2
}> {}

export const failed = (...lines: ReadonlyArray<string>) => new Failure({ lines, exitCode: 1 })
export const misused = (...lines: ReadonlyArray<string>) => new Failure({ lines, exitCode: 2 })

const Problem = Schema.Struct({
  type: Schema.String,
  status: Schema.Int,
  detail: Schema.String,
  errors: Schema.optional(Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.String })))
})
const decodeProblem = Schema.decodeUnknownOption(Problem)
const parseProblem = Schema.decodeUnknownOption(Schema.parseJson(Problem))

/** What an answer that refused something says, if it is a problem by RFC 9457. */
export const detailOf = (body: string): Option.Option<string> => Option.map(parseProblem(body), ({ detail }) => detail)

/** Each error the API declares, from the instance back to the problem body it came in. */
const problemSchemas = (): ReadonlyArray<Schema.Schema<unknown, unknown>> => {
  const schemas: Array<Schema.Schema<unknown, unknown>> = []
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ errors }) => {
      for (const { ast } of errors.values()) {
        if (Option.isSome(ast)) schemas.push(Schema.make<unknown, unknown>(ast.value))
      }
    }
  })
  return schemas
}

/** The problem by RFC 9457 that the service answered with, if the error was one. */
export const problemOf = (error: unknown): Option.Option<typeof Problem.Type> =>
  Option.flatMap(
    Option.firstSomeOf(problemSchemas().map((schema) => Schema.encodeUnknownOption(schema)(error))),
    decodeProblem
  )

/** One line, and one for each fault of an order: a JSON Pointer and what was expected there. */
export const faultLines = (found: ReadonlyArray<{ readonly pointer: string; readonly detail: string }>) =>
  found.map(({ detail, pointer }) => (pointer === "" ? `  ${detail}` : `  ${pointer}: ${detail}`))

/** Something in the order itself is wrong, seen before it was sent; told as the service would tell it. */
export const invalidOrder = (error: ParseResult.ParseError) =>
  failed("The order is not valid.", ...faultLines(faults(ParseResult.ArrayFormatter.formatErrorSync(error))))

const originOf = (url: string) => (URL.canParse(url) ? new URL(url).origin : url)

/** How the system names what happened to a connection, such as ECONNREFUSED. */
export const codeOf = (error: RequestError): string =>
  Predicate.hasProperty(error.cause, "code") && Predicate.isString(error.cause.code) ? error.cause.code : error.reason

const isHttpClientError = (error: unknown): error is HttpClientError =>
  Predicate.isTagged(error, "RequestError") || Predicate.isTagged(error, "ResponseError")

/** How the system names what broke a connection in the middle of an answer, such as ECONNRESET. */
export const brokenBy = ({ cause }: ResponseError): Option.Option<string> =>
  Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? Option.some(cause.code) : Option.none()

const noGoodAnswer = (error: ResponseError) => {
  const origin = originOf(error.request.url)
  return Option.match(brokenBy(error), {
    onNone: () =>
      `${origin} answered ${error.response.status} in an unknown way: is that an order service of this version?`,
    onSome: (code) => `The connection to ${origin} broke (${code}).`
  })
}

/** Whatever ended a command, as a {@link Failure}. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof Failure) return error
  // Printed by @effect/cli itself.
  if (ValidationError.isValidationError(error)) return misused()
  const problem = problemOf(error)
  if (Option.isSome(problem)) return failed(problem.value.detail, ...faultLines(problem.value.errors ?? []))
  if (isHttpClientError(error)) {
    return error._tag === "RequestError"
      ? failed(
          `No order service answers at ${originOf(error.request.url)} (${codeOf(error)}). ` +
            "Start it with `orders serve`, or name another with --url."
        )
      : failed(noGoodAnswer(error))
  }
  if (ParseResult.isParseError(error)) {
    return failed("The service answered in an unknown way: is it an order service of this version?")
  }
  if (Predicate.isTagged(error, "TimeoutException")) return failed("The service did not answer in time.")
  return failed(error instanceof Error ? error.message : String(error))
}

/** The same failure with another line before its own. */
export const within =
  (line: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.mapError(self, (error) => {
      const { exitCode, lines } = failureOf(error)
      return new Failure({ exitCode, lines: [line, ...lines] })
    })
