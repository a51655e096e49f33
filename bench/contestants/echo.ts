import * as Http from "node:http"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Schema } from "effect"
import { NewOrder, OrderIdJson } from "../../src/order/Order.ts"

/** HttpApi as its documentation shows it: the payload decoded and the answer encoded, and nothing else done. */
const Api = HttpApi.make("echo").add(
  HttpApiGroup.make("orders").add(
    HttpApiEndpoint.post("submit", "/api/order")
      .setPayload(NewOrder)
      .addSuccess(Schema.Struct({ message: Schema.Literal("Order received"), order_id: OrderIdJson }), { status: 202 })
  )
)

const OrdersLive = HttpApiBuilder.group(Api, "orders", (handlers) =>
  handlers.handle("submit", ({ payload: { order_id } }) =>
    Effect.succeed({ message: "Order received" as const, order_id })
  )
)

const EchoLive = HttpApiBuilder.serve().pipe(
  Layer.provide(HttpApiBuilder.api(Api)),
  Layer.provide(OrdersLive),
  HttpServer.withLogAddress,
  Layer.provide(NodeHttpServer.layer(() => Http.createServer(), { host: "127.0.0.1", port: 0, backlog: 4096 })),
  Layer.provide(Layer.setTracerEnabled(false))
)

NodeRuntime.runMain(Layer.launch(EchoLive), { disablePrettyLogger: true })
