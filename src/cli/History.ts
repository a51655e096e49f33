import * as Command from "@effect/cli/Command"
import { DateTime, Effect, Schema } from "effect"
import { Change } from "../api/Change.ts"
import { clientOf, service } from "./Connection.ts"
import { naming } from "./Failure.ts"
import { json, printJsonLines, printLines, statusText, tablePrinter } from "./Output.ts"
import { id } from "./Queries.ts"

/** The service gives no more at a time. */
const pageSize = 500

const encodeChanges = Schema.encode(Schema.Array(Change))

const head = ["TIME", "FROM", "TO", "REASON", "RUN", "ATTEMPT", "NEXT ATTEMPT", "BY", "ERROR"]

const rowOf = (change: Change) => [
  DateTime.formatIso(change.at),
  change.from,
  statusText(change.to),
  change.reason,
  change.run,
  change.attempt,
  change.next_attempt_at && DateTime.formatIso(change.next_attempt_at),
  change.by,
  change.error && `${change.error.code}: ${change.error.message}`
]

export const history = Command.make(
  "history",
  { service, json, id },
  Effect.fnUntraced(function* ({ id, json, service }) {
    const api = yield* clientOf(service)
    const printRows = tablePrinter(head)
    let after: number | undefined
    do {
      const isFirst = after === undefined
      const { changes, next } = yield* api.orders
        .history({ path: { order_id: id }, urlParams: { after, limit: pageSize } })
        .pipe(naming(id))
      after = next
      if (json) yield* Effect.flatMap(encodeChanges(changes), printJsonLines)
      else if (changes.length > 0) yield* printRows(changes.map(rowOf))
      else if (isFirst && next === undefined) yield* printLines([`No change of order ${id} is kept.`])
    } while (after !== undefined)
  })
).pipe(Command.withDescription("Show what happened to one order, oldest first"))
