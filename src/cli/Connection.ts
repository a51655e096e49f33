import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as HttpClient from "@effect/platform/HttpClient"
import { RequestError } from "@effect/platform/HttpClientError"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { isKey } from "../access/ApiKey.ts"
import * as Client from "../api/Client.ts"
import { isLoopback } from "../Loopback.ts"
import { redacted } from "../Redaction.ts"
import { valueOrFile } from "../SecretFile.ts"
import { misused } from "./Failure.ts"

const defaultUrl = "http://127.0.0.1:3000"

/** As an address without a slash at its end: what is asked for begins with one. */
const url = Options.text("url").pipe(
  Options.withFallbackConfig(Config.string("ORDERS_URL")),
  Options.withDefault(defaultUrl),
  Options.mapTryCatch(
    (given) => {
      const url = new URL(given)
      if (!/^https?:$/.test(url.protocol) || url.search || url.hash) throw new TypeError("not the address of a service")
      // Only from the first of them: begun at each, it would grow with the square of their number.
      return url.href.replace(/(?<!\/)\/+$/, "")
    },
    () =>
      HelpDoc.p("--url (or ORDERS_URL): expected an address such as http://127.0.0.1:3000 or https://shop.test/orders")
  ),
  Options.withPseudoName("url"),
  Options.withDescription(`The service, with or without a / at its end; also as ORDERS_URL [default: ${defaultUrl}]`)
)

/** Which service to talk to. A key is no option: the list of processes shows those to everyone on the machine. */
export const service = Options.all({
  url,
  insecure: Options.boolean("insecure").pipe(
    Options.withDescription("Send the key of ORDERS_API_KEY over plain http to other machines too")
  )
})

export interface Service {
  readonly url: string
  readonly insecure: boolean
}

const keyOf = valueOrFile("ORDERS_API_KEY").pipe(
  Effect.map(Option.filter(({ name, value }) => name.endsWith("_FILE") || value.trim() !== "")),
  Effect.mapError((error) => misused(...("message" in error ? [error.message] : [String(error)])))
)

export interface Connection {
  readonly baseUrl: string
  readonly apiKey?: Redacted.Redacted
}

/** Where a service is and the key for it, which is checked before anything is sent. */
export const connectionOf = Effect.fnUntraced(function* ({ insecure, url }: Service) {
  const key = yield* keyOf
  if (Option.isNone(key)) return { baseUrl: url }
  const { name, value } = key.value
  if (!isKey(value)) {
    const where = name.endsWith("_FILE") ? `the file of ${name}` : name
    return yield* misused(`What is in ${where} is no key, which is ord_ and 32 letters and digits, and nothing else.`)
  }
  const { hostname, protocol } = new URL(url)
  if (protocol === "http:" && !isLoopback(hostname) && !insecure) {
    return yield* misused(
      `The key of ${name} is not sent to ${redacted(url)}: without https others on the way could read it.`,
      "Use https:// there, or say --insecure if nobody else can read what is sent."
    )
  }
  return { baseUrl: url, apiKey: Redacted.make(value) }
})

/** The typed client of a service. */
export const clientOf = (service: Service) => Effect.flatMap(connectionOf(service), Client.make)

/** How long an answer may take to begin. Longer than `--wait` may be. */
const answerLimit = "40 seconds"

/** Gives up a request that is not answered: a stopped process keeps its connections open. */
export const withAnswerLimit = <E, R>(client: HttpClient.HttpClient.With<E, R>) =>
  HttpClient.transform(client, (answer, request) =>
    Effect.timeoutFail(answer, {
      duration: answerLimit,
      onTimeout: () =>
        new RequestError({ request, reason: "Transport", cause: { code: `no answer within ${answerLimit}` } })
    })
  )

/** A connection for each request that runs, kept for the next. */
export const HttpClientLive = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, withAnswerLimit)
).pipe(
  Layer.provide(NodeHttpClient.layerWithoutAgent),
  Layer.provide(NodeHttpClient.makeAgentLayer({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY }))
)
