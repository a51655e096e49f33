import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as OpenApi from "@effect/platform/OpenApi"
import { Context, type DateTime, type Option, Schema } from "effect"
import { InsufficientScopeProblem, TooManyRequestsProblem, UnauthorizedProblem } from "./Problems.ts"
import type { Scope } from "./Scope.ts"

/** Who sent a request, by its key. A service without keys takes everyone for one that has all scopes and no name. */
export class Caller extends Context.Tag("orders/Caller")<
  Caller,
  {
    readonly name: Option.Option<string>
    readonly scopes: ReadonlyArray<Scope>
    readonly expires_at: Option.Option<DateTime.Utc>
  }
>() {}

/** Endpoints with it answer those only who have a key with the endpoint's {@link NeededScope}. */
export class Authorization extends HttpApiMiddleware.Tag<Authorization>()("orders/Authorization", {
  failure: Schema.Union(UnauthorizedProblem, InsufficientScopeProblem, TooManyRequestsProblem),
  provides: Caller,
  security: {
    apiKey: HttpApiSecurity.bearer.pipe(
      HttpApiSecurity.annotate(
        OpenApi.Description,
        "A key of this service, `ord_` and 32 characters. A service without keys asks for none."
      )
    )
  }
}) {}
