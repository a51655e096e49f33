import * as HttpApiClient from "@effect/platform/HttpApiClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import type { Effect } from "effect"
import { Api } from "./Api.ts"

/**
 * The typed client of the service at `baseUrl`. Refusals are the tagged errors of `Api.ts` and `Order.ts`.
 * `transformClient` changes what every request passes, such as to add what a proxy in front of the service asks for.
 */
export const make = (options: {
  readonly baseUrl: string | URL
  readonly transformClient?: (client: HttpClient.HttpClient) => HttpClient.HttpClient
}) => HttpApiClient.make(Api, options)

export interface Client extends Effect.Effect.Success<ReturnType<typeof make>> {}
