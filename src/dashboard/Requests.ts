import { lose, permitted, refuse } from "./Access.ts"
import type { CallerJson } from "./ApiJson.ts"
import { currentKey } from "./KeptKey.ts"
import { type Scope, scopes } from "./Scopes.ts"

/** The service answered with a problem; without a status it did not answer at all. */
export class RequestFailed extends Error {
  readonly status: number | undefined
  constructor(status: number | undefined, message: string) {
    super(message)
    this.status = status
  }
}

/** The key is not good for what was asked, or there is none. */
export class NotPermitted extends RequestFailed {}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

const silent = "The service does not answer."
const unknownOutcome =
  "No answer came, so it is not known whether this was done. Look at the order before doing it again."

interface Problem {
  readonly type?: unknown
  readonly detail?: unknown
  readonly errors?: unknown
  readonly reason?: unknown
  readonly scope?: unknown
  readonly retry_after?: unknown
}

/** Where the faults are that a problem lists. */
const faultsOf = ({ errors }: Problem): ReadonlyArray<string> => {
  const faults: ReadonlyArray<unknown> = Array.isArray(errors) ? errors : []
  return faults.flatMap((fault) =>
    typeof fault === "object" && fault !== null && "pointer" in fault && "detail" in fault
      ? [`${fault.pointer}: ${fault.detail}.`]
      : []
  )
}

/** Until then the service answers nothing that a key is asked for: it is not asked either. */
let limitedUntil = 0

const limited = () => {
  const seconds = Math.ceil((limitedUntil - performance.now()) / 1000)
  if (seconds > 0) throw new RequestFailed(429, `The service takes no more requests for now: waiting ${seconds} s.`)
}

/** What a refusal says. What it means for the key is noted. */
const refusalOf = async (response: Response, key: string | undefined) => {
  const body: unknown = await response.json().catch(() => undefined)
  const problem: Problem = typeof body === "object" && body !== null ? body : {}
  const detail = typeof problem.detail === "string" ? problem.detail : `The service answered ${response.status}.`
  const message = [detail, ...faultsOf(problem)].join(" ")
  const { retry_after, scope, type } = problem
  if (type === "urn:orders:problem:unauthorized") {
    const text = problem.reason === "missing" ? "This service asks for a key." : detail
    refuse(key, text)
    return new NotPermitted(response.status, text)
  }
  if (type === "urn:orders:problem:insufficient-scope") {
    const lost = scopes.find((known) => known === scope)
    if (lost !== undefined) lose(lost)
    return new NotPermitted(response.status, message)
  }
  if (response.status === 429 && key === currentKey()) {
    limitedUntil = performance.now() + (typeof retry_after === "number" ? retry_after : 1) * 1000
  }
  return new RequestFailed(response.status, message)
}

/** Asks as who has that key. No answer in time, or none at all, is a problem without a status. */
const askAs = async (key: string | undefined, path: string, init: RequestInit, silence: string) => {
  const headers = new Headers(init.headers)
  if (key !== undefined) headers.set("authorization", `Bearer ${key}`)
  const response = await fetch(path, { cache: "no-store", ...init, headers }).catch(() => {
    throw new RequestFailed(undefined, silence)
  })
  if (!response.ok) throw await refusalOf(response, key)
  return response
}

const ask = (path: string, init: RequestInit, silence = silent) => {
  limited()
  return askAs(currentKey(), path, init, silence)
}

const within = (millis: number) => ({ signal: AbortSignal.timeout(millis) })

/** What needs no key. */
export const readOpen = async (path: string, millis: number) => askAs(undefined, path, within(millis), silent)

/** Whom the service takes the page for. */
export const askCaller = async (millis: number): Promise<CallerJson> => (await ask("api/key", within(millis))).json()

/** Who has that key. It may be a right one after too many wrong ones, so nothing is waited for. */
export const readCaller = async (key: string | undefined, millis: number): Promise<CallerJson> =>
  (await askAs(key, "api/key", within(millis), silent)).json()

export const readNow = async (path: string, millis: number) => ask(path, within(millis))

/** Reads as soon as the page may: while a key is asked for, what is shown stays and nothing is sent. */
export const read = async (scope: Scope, path: string, millis: number): Promise<Response> => {
  while (true) {
    await permitted(scope)
    try {
      return await readNow(path, millis)
    } catch (error) {
      if (!(error instanceof NotPermitted)) throw error
    }
  }
}

export const openStream = async (path: string, signal: AbortSignal) => ask(path, { signal })

export const send = async (path: string, millis: number, body?: unknown) => {
  const json = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
  return ask(path, { method: "POST", ...(body === undefined ? {} : json), ...within(millis) }, unknownOutcome)
}
