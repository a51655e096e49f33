import { Array as Arr } from "effect"
import type { ServiceMetrics } from "../api/Answers.ts"
import { isFinal, type NewOrder, type Order, type Status } from "../order/Order.ts"
import { differences } from "../order/OrderContent.ts"
import { Delivery } from "./Delivery.ts"

export type Found = typeof Order.json.Type

/** The answers the shoppers got, and what the service shows afterwards. */
export interface Evidence {
  readonly sent: ReadonlyArray<NewOrder>
  readonly deliveries: ReadonlyMap<string, Delivery>
  /** Every order the service lists for the shoppers of this run, as often as it lists it. */
  readonly listed: ReadonlyArray<Found>
  /** Orders that ended and were removed after their retention. */
  readonly gone: ReadonlyMap<string, Status>
  /** Orders whose end was reported although they had ended before, and nobody had asked for them again. */
  readonly endedTwice: ReadonlySet<string>
  readonly before: ServiceMetrics
  readonly after: ServiceMetrics
}

export interface SimulationFault {
  readonly fault:
    | "missing"
    | "doubled"
    | "altered"
    | "not final"
    | "stored though refused"
    | "conflict"
    | "never sent"
    | "totals"
  readonly order_id: string | null
  readonly detail: string
}

export const noStatuses = (): Record<Status, number> => ({
  Pending: 0,
  Processing: 0,
  Completed: 0,
  Failed: 0,
  Cancelled: 0
})

/** The statuses of the orders of this run that are stored, and how many orders have each. */
export const statusesOf = ({ gone, listed }: Pick<Evidence, "gone" | "listed">) => {
  const count = noStatuses()
  const statuses = new Map<string, Status>(gone)
  for (const order of listed) statuses.set(order.order_id, order.status)
  for (const status of statuses.values()) count[status] += 1
  return count
}

const faultsOfTotals = ({ after, before, ...evidence }: Evidence): ReadonlyArray<string> => {
  const ours = statusesOf(evidence)
  const stored = Object.values(ours).reduce((sum, orders) => sum + orders, 0)
  const parts =
    after.orders_pending +
    after.orders_processing +
    after.orders_completed +
    after.orders_failed +
    after.orders_cancelled
  const grown = after.total_orders - before.total_orders
  const completed = after.orders_completed - before.orders_completed
  return [
    ...(parts === after.total_orders ? [] : [`the statuses add up to ${parts}, not to ${after.total_orders}`]),
    ...(grown >= stored ? [] : [`all orders grew by ${grown}, but ${stored} of this run are stored`]),
    ...(completed >= ours.Completed
      ? []
      : [`Completed grew by ${completed}, but ${ours.Completed} of this run are Completed`])
  ]
}

/** Everything that does not fit together; nothing if every promise was kept. */
export const faultsOf = (evidence: Evidence): ReadonlyArray<SimulationFault> => {
  const { deliveries, endedTwice, gone, listed, sent } = evidence
  const faults: Array<SimulationFault> = []
  const found = new Map(listed.map((order) => [String(order.order_id), order]))
  const known = new Set(sent.map((order) => String(order.order_id)))

  for (const [order_id, copies] of Object.entries(Arr.groupBy(listed, (order) => order.order_id))) {
    if (copies.length > 1) faults.push({ fault: "doubled", order_id, detail: `listed ${copies.length} times` })
    if (!known.has(order_id)) faults.push({ fault: "never sent", order_id, detail: "listed, but nobody sent it" })
  }
  for (const order_id of endedTwice) faults.push({ fault: "doubled", order_id, detail: "it ended twice" })

  for (const order of sent) {
    const { order_id } = order
    const delivery = deliveries.get(order_id)
    const stored = found.get(order_id)
    if (stored !== undefined) {
      const fields = differences(stored, order)
      if (fields.length > 0) faults.push({ fault: "altered", order_id, detail: `differs in ${fields.join(", ")}` })
      if (!isFinal(stored.status)) faults.push({ fault: "not final", order_id, detail: `still ${stored.status}` })
    }
    if (delivery === undefined) continue
    const isStored = stored !== undefined || gone.has(order_id)
    if (Delivery.$is("Acknowledged")(delivery) && !isStored) {
      faults.push({ fault: "missing", order_id, detail: "it was acknowledged and is not there" })
    }
    if (delivery._tag !== "Acknowledged" && delivery.reason === "OrderConflict") {
      faults.push({ fault: "conflict", order_id, detail: "refused as sent before with other content" })
    } else if (Delivery.$is("Refused")(delivery) && isStored) {
      faults.push({ fault: "stored though refused", order_id, detail: delivery.reason })
    }
  }
  return [
    ...faults,
    ...faultsOfTotals(evidence).map((detail): SimulationFault => ({ fault: "totals", order_id: null, detail }))
  ]
}
