import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { DateTime, Effect, Option, Schema } from "effect"
import * as Client from "../api/Client.ts"
import { ChangeId } from "../api/Filters.ts"
import { OrderEvent } from "../api/OrderEvent.ts"
import { OrderId, UserId } from "../order/Order.ts"
import { redacted } from "../Redaction.ts"
import { connectionOf, service } from "./Connection.ts"
import { watchEvents } from "./Events.ts"
import { explained } from "./Explained.ts"
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
    status,
    after: Options.text("after").pipe(
      Options.withPseudoName("id"),
      Options.withSchema(explained(ChangeId, "--after: expected the id of a change, a whole number; 0 for all")),
      Options.optional,
      Options.withDescription("Begin behind the change of this id, 0 for all that are kept [default: from now on]")
    )
  },
  Effect.fnUntraced(function* ({ after, json, orderId, service, status, userId }) {
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
      after: Option.getOrUndefined(after),
      onOpen: Effect.suspend(() =>
        printErrorLines([lost ? "Connected again." : `Watching ${redacted(connection.baseUrl)}`])
      ),
      onLost: (why, was) =>
        Effect.suspend(() => {
          lost = was === "open"
          return printErrorLines([`${lost ? "Connection lost" : "Not connected yet"}: ${why} Trying again.`])
        }),
      onReset: (oldest) =>
        printErrorLines([
          `Some changes are missing here: the service does not have them any more. All from ${oldest} on follow.`
        ]),
      onEvent: (event) =>
        json
          ? Effect.flatMap(encode(event), printJson).pipe(Effect.orDie)
          : printLines([
              [
                `${DateTime.formatIso(event.at)}  ${event.order_id}  `,
                statusText(event.status),
                `  attempt ${event.attempts}  user ${event.user_id}  change ${event.id}`
              ]
            ])
    })
  })
).pipe(Command.withDescription("Show changes of orders as they are committed"))
