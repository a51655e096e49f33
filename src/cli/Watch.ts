import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Client from "../api/Client.ts"
import { OrderEvent } from "../api/OrderEvent.ts"
import { OrderId, UserId } from "../order/Order.ts"
import { redacted } from "../Redaction.ts"
import { connectionOf, service } from "./Connection.ts"
import { watchEvents } from "./Events.ts"
import { json, printErrorLines, printJson, printLines, statusText } from "./Output.ts"
import { status } from "./Queries.ts"

const encode = Schema.encode(OrderEvent)

export const watch = Command.make(
  "watch",
  {
    service,
    json,
    orderId: Options.text("order-id").pipe(
      Options.withPseudoName("id"),
      Options.withSchema(OrderId),
      Options.optional,
      Options.withDescription("Changes of this order")
    ),
    userId: Options.text("user-id").pipe(
      Options.withPseudoName("id"),
      Options.withSchema(UserId),
      Options.optional,
      Options.withDescription("Changes of this user's orders")
    ),
    status
  },
  Effect.fnUntraced(function* ({ json, orderId, service, status, userId }) {
    // A service that is not there at first is a mistake to report at once; one that goes away is waited for.
    const connection = yield* connectionOf(service)
    const api = yield* Client.make(connection)
    yield* api.service.key()
    let lost = false
    yield* watchEvents(connection, {
      filter: {
        ...Option.match(orderId, { onNone: () => ({}), onSome: (order_id) => ({ order_id }) }),
        ...Option.match(userId, { onNone: () => ({}), onSome: (user_id) => ({ user_id }) }),
        ...Option.match(status, { onNone: () => ({}), onSome: (status) => ({ status }) })
      },
      onOpen: Effect.suspend(() =>
        printErrorLines([
          lost ? "Connected again. What changed in between is not shown." : `Watching ${redacted(connection.baseUrl)}`
        ])
      ),
      onLost: (why, was) =>
        Effect.suspend(() => {
          lost = was === "open"
          return printErrorLines([`${lost ? "Connection lost" : "Not connected yet"}: ${why} Trying again.`])
        }),
      onEvent: (event) =>
        json
          ? Effect.flatMap(encode(event), printJson).pipe(Effect.orDie)
          : printLines([
              [
                `${DateTime.formatIso(event.at)}  ${event.order_id}  `,
                statusText(event.status),
                `  attempt ${event.attempts}  user ${event.user_id}`
              ]
            ])
    })
  })
).pipe(Command.withDescription("Show changes of orders as they are committed"))
