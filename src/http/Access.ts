import type { IncomingMessage } from "node:http"
import { Context, DateTime, Effect, Layer, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { ApiKeys } from "../access/ApiKeys.ts"
import type { KeyLine } from "../access/KeyLine.ts"
import { TokenBucket } from "../access/TokenBucket.ts"
import { Authorization, type Caller } from "../api/Access.ts"
import {
  type AnyProblem,
  InsufficientScope,
  MalformedRequest,
  MisdirectedRequest,
  TooManyRequests,
  Unauthorized
} from "../api/Problems.ts"
import { scopes } from "../api/Scope.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { isMisdirected } from "./Origins.ts"
import type { Route } from "./Route.ts"
import { makeWrongKeys } from "./WrongKeys.ts"

/** Who sends a request, and what that lets it do. */
export interface Access {
  readonly caller: Caller["Type"] | undefined
  /** Why it is not let in, by its host or its key. */
  readonly refusal?: AnyProblem
  /** What its key has left of its rate, if it has one. */
  readonly rate?: TokenBucket
  /** Ends when its key does: what goes on for long ends then too. */
  readonly ended?: Effect.Effect<void>
}

/** The name of the key, for logs. The key itself is kept nowhere. */
export const keyField = ({ caller }: Access) =>
  caller !== undefined && Option.isSome(caller.name) ? { key: caller.name.value } : undefined

const anyone: Access = { caller: { name: Option.none(), scopes, expires_at: Option.none() } }
const noOne: Access = { caller: undefined }

/** A token by RFC 6750, 2.1. */
const bearer = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i

const needsKey = (pathname: string, routes: ReadonlyArray<Route>) =>
  routes.length === 0 ? pathname.startsWith("/api/") : routes.some(({ access }) => access !== undefined)

const isGoodFor = ({ scopes }: KeyLine, { access }: Route) =>
  access === undefined || access.scope === undefined || scopes.includes(access.scope)

/**
 * Judges requests by their host, then by their keys, before anything else of them is looked at: a path that needs a key
 * shows nothing without one, not even whether it exists or what methods it has. Each request takes one from the rate of its
 * key.
 */
export const makeAccess = Effect.gen(function* () {
  const { allowedHosts } = yield* AppConfig
  const keys = yield* ApiKeys
  const clock = yield* Effect.clock
  const now = yield* monotonicMillis
  const refuseWrongKey = yield* makeWrongKeys
  /** They outlast a new reading of the file. */
  const rates = new Map<string, TokenBucket>()
  /** What a key lets do, made once: requests that bring it differ only in why one of them may be refused. */
  const known = new WeakMap<KeyLine, Access>()

  const rateOf = ({ hash, rate }: KeyLine) => {
    if (Option.isNone(rate)) return undefined
    const { quota, windowSeconds } = rate.value
    const id = `${hash} ${quota} ${windowSeconds}`
    const bucket = rates.get(id) ?? new TokenBucket(quota, windowSeconds, now)
    rates.set(id, bucket)
    return bucket
  }

  const accessBy = (key: KeyLine): Access => {
    const found = known.get(key)
    if (found !== undefined) return found
    const caller = { name: Option.some(key.name), scopes: key.scopes, expires_at: key.expiresAt }
    const rate = rateOf(key)
    const access = { caller, ended: keys.ended(key), ...(rate && { rate }) }
    known.set(key, access)
    return access
  }

  const ofKey = (key: KeyLine, routes: ReadonlyArray<Route>, route: Route | undefined): Access => {
    const access = accessBy(key)
    const { rate } = access
    if (rate !== undefined && rate.take(1) === 0) return { ...access, refusal: tooManyRequests(key.name, rate) }
    const asked = route === undefined ? routes : [route]
    const lacking = asked.every((route) => !isGoodFor(key, route)) ? asked[0]?.access?.scope : undefined
    return lacking === undefined ? access : { ...access, refusal: new InsufficientScope({ scope: lacking }) }
  }

  return (
    incoming: IncomingMessage,
    pathname: string,
    routes: ReadonlyArray<Route>,
    route: Route | undefined
  ): Access => {
    const { headers, httpVersion, socket } = incoming
    if (headers.host === undefined && httpVersion === "1.1") {
      return { ...noOne, refusal: new MalformedRequest({ detail: "The request has no Host header." }) }
    }
    if (isMisdirected(incoming, allowedHosts)) return { ...noOne, refusal: new MisdirectedRequest() }
    if (!keys.required) return anyone
    if (!needsKey(pathname, routes)) return noOne
    const [, sent] = bearer.exec(headers.authorization ?? "") ?? []
    if (sent === undefined) return { ...noOne, refusal: new Unauthorized({ reason: "missing" }) }
    const key = keys.find(sent)
    if (key === undefined) return { ...noOne, refusal: refuseWrongKey(socket.remoteAddress ?? "") }
    const isOver = Option.exists(key.expiresAt, (at) => DateTime.toEpochMillis(at) <= clock.unsafeCurrentTimeMillis())
    if (isOver) return { ...noOne, refusal: new Unauthorized({ reason: "expired" }) }
    return ofKey(key, routes, route)
  }
})

const tooManyRequests = (name: string, rate: TokenBucket) => {
  const seconds = rate.secondsUntil(1)
  return new TooManyRequests({
    detail: `The key ${name} is good for ${rate.quota} in ${rate.windowSeconds} seconds; wait ${seconds} ${seconds === 1 ? "second" : "seconds"}.`,
    retry_after: seconds
  })
}

/**
 * The fields of draft-ietf-httpapi-ratelimit-headers-11: what the key may do in a window, what is left of it, and the
 * seconds until all is there again, or until there is something again.
 */
export const rateFields = (rate: TokenBucket) => ({
  "ratelimit-policy": `"key";q=${rate.quota};w=${rate.windowSeconds}`,
  ratelimit: `"key";r=${rate.left};t=${rate.left > 0 ? rate.secondsUntilFull : rate.secondsUntil(1)}`
})

/** The access of the request that is answered; the guard sets it. */
export class RequestAccess extends Context.Reference<RequestAccess>()("orders/RequestAccess", {
  defaultValue: () => noOne
}) {}

/** The endpoints take the guard's word for who calls. What did not pass the guard is let in nowhere. */
export const AuthorizationLive = Layer.succeed(Authorization, {
  apiKey: () =>
    Effect.flatMap(RequestAccess, ({ caller }) =>
      caller === undefined ? new Unauthorized({ reason: "missing" }) : Effect.succeed(caller)
    )
})
