import * as HttpApi from "@effect/platform/HttpApi"
import type { HttpClientError, ResponseError } from "@effect/platform/HttpClientError"
import { Console, Data, Effect, Option, ParseResult, Predicate, Schema } from "effect"
import { Api } from "../api/Api.ts"
import { problemType } from "../api/Problem.ts"
import { type OrderId, OrderIdJson } from "../order/Order.ts"
import { redacted } from "../Redaction.ts"
import { jsonText, printErrorLines } from "./Output.ts"

/** A problem by RFC 9457. Those of the service have further members. */
export interface ProblemJson {
  readonly type: string
  readonly title: string
  readonly status?: number
  readonly detail: string
}

/** A command that could not do what it was asked for, as lines for people. 1: it failed; 2: it was asked wrongly. */
export class Failure extends Data.TaggedError("Failure")<{
  readonly lines: ReadonlyArray<string>
  readonly exitCode: 1 | 2
  /** As the service answered it, if it did. */
  readonly problem?: ProblemJson
}> {
  /** The same for programs. */
  toProblem(): ProblemJson {
    const detail = this.lines.join("\n")
    if (this.problem !== undefined) return this.problem
    return this.exitCode === 2
      ? { type: problemType("Misused"), title: "The command was not called as it should be", detail }
      : { type: problemType("CommandFailed"), title: "The command failed", detail }
  }
}

export const failed = (...lines: ReadonlyArray<string>) => new Failure({ lines, exitCode: 1 })
export const misused = (...lines: ReadonlyArray<string>) => new Failure({ lines, exitCode: 2 })

const Answered = Schema.Struct({
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.String,
  errors: Schema.optional(Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.String })))
})
const decodeProblem = Schema.decodeUnknownOption(Answered, { onExcessProperty: "preserve" })
const parseProblem = Schema.decodeUnknownOption(Schema.parseJson(Answered))

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
export const problemOf = (error: unknown): Option.Option<typeof Answered.Type> =>
  Option.flatMap(
    Option.firstSomeOf(problemSchemas().map((schema) => Schema.encodeUnknownOption(schema)(error))),
    decodeProblem
  )

/** One line, and one for each fault of an order: a JSON Pointer and what was expected there. */
export const faultLines = (found: ReadonlyArray<{ readonly pointer: string; readonly detail: string }>) =>
  found.map(({ detail, pointer }) => (pointer === "" ? `  ${detail}` : `  ${pointer}: ${detail}`))

/** Where the service is, of the address of a request to it. A password for a proxy may be in it. */
const serviceOf = (url: string) => redacted(url).replace(/\/(api\/.*)?$/, "")

const isHttpClientError = (error: unknown): error is HttpClientError =>
  Predicate.isTagged(error, "RequestError") || Predicate.isTagged(error, "ResponseError")

/** How the system names what broke a connection, such as ECONNREFUSED or, in the middle of an answer, ECONNRESET. */
export const brokenBy = ({ cause }: HttpClientError): Option.Option<string> =>
  Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? Option.some(cause.code) : Option.none()

export const connectionCode = (error: HttpClientError) => Option.getOrElse(brokenBy(error), () => error.reason)

const noGoodAnswer = (error: ResponseError) => {
  const service = serviceOf(error.request.url)
  return Option.match(brokenBy(error), {
    onNone: () =>
      `${service} answered ${error.response.status} in an unknown way: is that an order service of this version?`,
    onSome: (code) => `The connection to ${service} broke (${code}).`
  })
}

/** What to do about a key that was missing, or did not do. */
const keyLines = (error: unknown): ReadonlyArray<string> => {
  if (Predicate.isTagged(error, "Unauthorized")) {
    const isMissing = Predicate.hasProperty(error, "reason") && error.reason === "missing"
    return isMissing
      ? ["Set ORDERS_API_KEY to a key, or ORDERS_API_KEY_FILE to a file with one."]
      : ["Set ORDERS_API_KEY, or the file of ORDERS_API_KEY_FILE, to another one."]
  }
  return Predicate.isTagged(error, "InsufficientScope") && Predicate.hasProperty(error, "scope")
    ? [`Set ORDERS_API_KEY to such a one: orders keys new --name NAME --scopes ${error.scope} makes it.`]
    : []
}

/** Whatever ended a command, as a {@link Failure}. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof Failure) return error
  const problem = problemOf(error)
  if (Option.isSome(problem)) {
    const lines = [problem.value.detail, ...keyLines(error), ...faultLines(problem.value.errors ?? [])]
    const { detail, status, title, type, ...own } = problem.value
    return new Failure({ lines, exitCode: 1, problem: { type, title, status, detail, ...own } })
  }
  if (isHttpClientError(error)) {
    return error._tag === "RequestError"
      ? failed(
          `No order service answers at ${serviceOf(error.request.url)} (${connectionCode(error)}). ` +
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
export const withLine = (line: string) => (error: unknown) => {
  const failure = failureOf(error)
  const problem = failure.toProblem()
  return new Failure({
    exitCode: failure.exitCode,
    lines: [line, ...failure.lines],
    problem: { ...problem, detail: `${line} ${problem.detail}` }
  })
}

/** An order that is not there is named. */
export const naming = (id: OrderId) =>
  Effect.mapError(<E>(error: E) => {
    if (!Predicate.isTagged(error, "OrderNotFound")) return failureOf(error)
    const detail = `Order ${id} not found`
    const problem = { ...failureOf(error).toProblem(), detail, order_id: Schema.encodeSync(OrderIdJson)(id) }
    return new Failure({ lines: [detail], exitCode: 1, problem })
  })

/** Printed for people, or as a problem by RFC 9457 where the answer is for machines. Gives the exit code. */
export const printFailure = (error: unknown, isJson: boolean) => {
  const failure = failureOf(error)
  if (failure.lines.length === 0) return Effect.succeed(failure.exitCode)
  const print = isJson ? Console.error(jsonText(failure.toProblem())) : printErrorLines(failure.lines)
  return Effect.as(print, failure.exitCode)
}
