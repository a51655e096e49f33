import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Prompt from "@effect/cli/Prompt"
import { Effect, Option } from "effect"
import { type Status, transitions } from "../order/Order.ts"
import { clientOf, service } from "./Connection.ts"
import { failed, misused, naming } from "./Failure.ts"
import { json, printJson, printLines } from "./Output.ts"
import { encodeOrder, filterOf, filters, id, mostListed, printOrder } from "./Queries.ts"

export const cancel = Command.make(
  "cancel",
  { service, json, id },
  Effect.fnUntraced(function* ({ id, json, service }) {
    const api = yield* clientOf(service)
    const order = yield* api.orders.cancel({ path: { order_id: id } }).pipe(naming(id))
    yield* json ? Effect.flatMap(encodeOrder(order), printJson) : printOrder(order)
  })
).pipe(Command.withDescription("Cancel an order that is Pending or Processing"))

/** The orders that a retry would act on, as far as one page shows. */
const whichOnes = (status: Status, found: number, more: boolean) =>
  `${found} ${status} ${found === 1 ? "order" : "orders"}${more ? " or more" : ""}`

const isTerminal = () => process.stdin.isTTY === true && process.stdout.isTTY === true

export const retry = Command.make(
  "retry",
  {
    service,
    json,
    all: Options.boolean("all").pipe(Options.withDescription("All Failed orders")),
    status: Options.choice("status", transitions.reopen.from).pipe(
      Options.optional,
      Options.withDescription("Orders in this status [default: Failed]")
    ),
    ...filters,
    yes: Options.boolean("yes", { aliases: ["y"] }).pipe(Options.withDescription("Do not ask before acting on many")),
    id: Args.optional(id)
  },
  Effect.fnUntraced(function* ({ all, id, json, status: chosen, service, yes, ...given }) {
    const filter = filterOf(given)
    const status = Option.getOrElse(chosen, () => transitions.reopen.from[0])
    const isFiltered = Option.isSome(chosen) || Object.values(filter).some((value) => value !== undefined)
    const api = yield* clientOf(service)
    if (Option.isSome(id)) {
      if (all || isFiltered) return yield* misused("retry: give an order's id or filters, not both.")
      const order = yield* api.orders.retry({ path: { order_id: id.value } }).pipe(naming(id.value))
      return yield* json ? Effect.flatMap(encodeOrder(order), printJson) : printOrder(order)
    }
    if (!all && !isFiltered) {
      return yield* misused("retry: give an order's id, or --all, --status, --error-code, --user-id, --accepted-...")
    }
    if (!yes) {
      if (!isTerminal()) {
        return yield* misused("retry: this may act on many orders. Say --yes, as there is no terminal to ask on.")
      }
      let page = yield* api.orders.list({ urlParams: { ...filter, status, limit: mostListed } })
      while (page.orders.length === 0 && page.next_cursor !== undefined) {
        const { next_cursor: cursor } = page
        page = yield* api.orders.list({ urlParams: { ...filter, status, limit: mostListed, cursor } })
      }
      if (page.orders.length === 0) {
        return yield* json ? printJson({ retried: 0 }) : printLines([`No ${status} order fits.`])
      }
      const message = `Retry ${whichOnes(status, page.orders.length, page.next_cursor !== undefined)}?`
      if (!(yield* Prompt.confirm({ message }))) return yield* failed("Nothing was changed.")
    }
    const { retried } = yield* api.orders.retryMany({ payload: { ...filter, status } })
    yield* json
      ? printJson({ retried })
      : printLines([`${retried} ${retried === 1 ? "order is" : "orders are"} Pending again.`])
  })
).pipe(Command.withDescription("Retry an order, or many, that are Failed or Cancelled"))
