import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as HttpClient from "@effect/platform/HttpClient"
import { RequestError } from "@effect/platform/HttpClientError"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Config, Effect, Layer } from "effect"
import * as Client from "../api/Client.ts"

const defaultUrl = "http://127.0.0.1:3000"

/** Which service to talk to, as an address without a slash at its end: what is asked for begins with one. */
export const url = Options.text("url").pipe(
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

/** The typed client of the service at that address. */
export const clientOf = (url: string) => Client.make({ baseUrl: url })

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
