import type * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Array as Arr, Context, type Effect, Option } from "effect"
import { Authorization } from "../api/Access.ts"
import { BodyRules } from "../api/BodyRules.ts"
import { NeededScope, type Scope } from "../api/Scope.ts"
import type { Body } from "./RequestBody.ts"

export interface Route {
  readonly method: string
  /** As the router has it: a segment that begins with `:` stands for any. */
  readonly path: string
  /** What its body may be; the body of a request to any other route is not looked at. */
  readonly body?: BodyRules["Type"]
  /** Answers in place of the application, which is not asked then: what is called most need not pass the router. */
  readonly handler?: (
    request: HttpServerRequest.HttpServerRequest,
    body: Body
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, unknown>
  /**
   * It shows or changes orders, or what becomes of them: it needs a key, of that scope if one is named, and pages of
   * other origins may not read it either.
   */
  readonly access?: { readonly scope: Scope | undefined }
  /** The Content-Security-Policy of its pages, where the strictest would break them. */
  readonly contentSecurityPolicy?: string
}

/** The route of an endpoint of the contract, with the middleware it is in. */
export const routeOf = ({
  endpoint: { annotations, method, path, payloadSchema },
  middleware
}: {
  readonly endpoint: {
    readonly annotations: Context.Context<never>
    readonly method: string
    readonly path: string
    readonly payloadSchema: Option.Option<unknown>
  }
  readonly middleware: ReadonlySet<HttpApiMiddleware.TagClassAny>
}): Route => ({
  method,
  path,
  ...(Array.from(middleware).some(({ key }) => key === Authorization.key)
    ? { access: { scope: Context.get(annotations, NeededScope) } }
    : undefined),
  ...(Option.isSome(payloadSchema) ? { body: Context.get(annotations, BodyRules) } : undefined)
})

/** Finds the routes of a path. The router itself gives neither the other methods of a path nor the template. */
export const routesByPath = (routes: ReadonlyArray<Route>) => {
  const paths = new Map(Object.entries(Arr.groupBy(routes, (route) => route.path)))
  const templates = Array.from(paths)
    .filter(([path]) => path.includes("/:"))
    .map(([path, routes]) => ({ pattern: new RegExp(`^${path.replaceAll(/:\w+/g, "[^/]+")}$`), routes }))
  return (path: string): ReadonlyArray<Route> =>
    paths.get(path) ?? templates.find(({ pattern }) => pattern.test(path))?.routes ?? []
}
