import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import type { Socket } from "node:net"
import { Predicate } from "effect"
import { type AnyProblem, answerOf, HeadersTooLarge, MalformedRequest, RequestTimeout } from "../api/Problems.ts"

/** The answer to what never reaches the application. It is the last one of its connection. */
const lastAnswer = (problem: AnyProblem) => {
  const { headers, status, text } = answerOf(problem)
  return {
    status,
    headers: {
      ...headers,
      "content-length": Buffer.byteLength(text),
      "x-content-type-options": "nosniff",
      "x-request-id": randomUUID(),
      connection: "close"
    },
    text
  }
}

const problemOf = (error: Error) => {
  const code = Predicate.hasProperty(error, "code") ? error.code : undefined
  if (code === "HPE_HEADER_OVERFLOW") return new HeadersTooLarge()
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new RequestTimeout()
  return new MalformedRequest({ detail: "This is not an HTTP request that can be read." })
}

export const respond = (response: Http.ServerResponse, problem: AnyProblem) => {
  const { headers, status, text } = lastAnswer(problem)
  response.writeHead(status, headers).end(text)
}

/** The same where there is no request, only what Node says of it. */
export const endWith = (socket: Socket, error: Error) => {
  const { headers, status, text } = lastAnswer(problemOf(error))
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${Http.STATUS_CODES[status]}\r\n${lines.join("")}\r\n${text}`)
}
