import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Context, Effect } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { Draining, ForeignOrigin, MethodNotAllowed, RouteNotFound, WorkerOnly } from "../api/Problems.ts"
import { RequestAccess } from "./Access.ts"
import { makeBodyBudget } from "./BodyBudget.ts"
import { NodeServer } from "./NodeServer.ts"
import { isForeign } from "./Origins.ts"
import type { ReceivedRequest } from "./ReceivedRequest.ts"
import { RequestBody, readBody } from "./RequestBody.ts"

const isRead = (method: string) => method === "GET" || method === "HEAD"

/**
 * Lets a request pass to its handler or the application, with its body read, or refuses it: for its host, its key, its
 * route, its origin, by its role, while shutting down, and last for its body, of which nothing is read before.
 */
export const makeAdmission = Effect.gen(function* () {
  const { isDraining } = yield* NodeServer
  const { allowedOrigins, role } = yield* AppConfig
  const hold = makeBodyBudget()

  const refusalOf = ({ access, incoming, method, route, routes }: ReceivedRequest) => {
    if (access.refusal !== undefined) return access.refusal
    if (routes.length === 0) return new RouteNotFound()
    if (route === undefined) {
      const allow = routes.flatMap((route) => (route.method === "GET" ? ["GET", "HEAD"] : [route.method]))
      return new MethodNotAllowed({ allow })
    }
    const isGuarded = route.access !== undefined || !isRead(method)
    if (isGuarded && isForeign(incoming.headers, allowedOrigins)) return new ForeignOrigin()
    if (!isRead(method) && role === "worker") return new WorkerOnly()
    if (!isRead(method) && isDraining()) return new Draining({ retry_after: 5 })
    return undefined
  }

  return <E, R>(
    received: ReceivedRequest,
    request: HttpServerRequest.HttpServerRequest,
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, R> => {
    const refusal = refusalOf(received)
    if (refusal !== undefined) return refusal
    const { access, incoming, method, route } = received
    if (isRead(method) || route?.body === undefined) return Effect.provideService(app, RequestAccess, access)
    const { body: rules, handler } = route
    const holding = hold(rules.limit)
    const answered = Effect.flatMap(readBody(incoming, rules, holding), (body) =>
      handler
        ? handler(request, body)
        : Effect.provide(app, Context.make(RequestAccess, access).pipe(Context.add(RequestBody, body)))
    )
    return Effect.ensuring(answered, Effect.sync(holding.end))
  }
})
