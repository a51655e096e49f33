import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Clock, Effect } from "effect"
import { type Access, keyField, type makeAccess } from "./Access.ts"
import { type Route, routesByPath } from "./Route.ts"

/** What is known of a request once its headers are there. */
export interface ReceivedRequest {
  readonly incoming: IncomingMessage
  readonly method: string
  /** The method as metrics and traces name it. */
  readonly methodName: string
  readonly pathname: string
  /** The routes of its path, and that of its method. */
  readonly routes: ReadonlyArray<Route>
  readonly route: Route | undefined
  readonly access: Access
  /** The client's `X-Request-Id`, or one of its own. */
  readonly requestId: string
  readonly secondsSinceStart: () => number
}

/** What every log of a request has: its id, and the name of its key. */
export const logFields = ({ access, requestId }: ReceivedRequest) => ({ request_id: requestId, ...keyField(access) })

/** The methods that metrics and traces name, as OpenTelemetry has it; any other is `_OTHER`. */
const namedMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"])

const requestIdPattern = /^[A-Za-z0-9._:-]{1,128}$/

/** Finds out what is known of a request; it starts with that. */
export const receiver = (
  routes: ReadonlyArray<Route>,
  accessOf: Effect.Effect.Success<typeof makeAccess>,
  clock: Clock.Clock
) => {
  const routesOf = routesByPath(routes)
  return (incoming: IncomingMessage): ReceivedRequest => {
    const startedAt = clock.unsafeCurrentTimeNanos()
    const { headers, method = "GET", url = "/" } = incoming
    const given = headers["x-request-id"]
    const pathname = url.split("?", 1)[0] ?? url
    const found = routesOf(pathname)
    const route = found.find((route) => route.method === (method === "HEAD" ? "GET" : method))
    return {
      incoming,
      method,
      methodName: namedMethods.has(method) ? method : "_OTHER",
      pathname,
      routes: found,
      route,
      access: accessOf(incoming, pathname, found, route),
      requestId: typeof given === "string" && requestIdPattern.test(given) ? given : randomUUID(),
      secondsSinceStart: () => Number(clock.unsafeCurrentTimeNanos() - startedAt) / 1e9
    }
  }
}
