import type { OrderEvent } from "../api/OrderEvent.ts"
import { isFinal, type NewOrder, type Status } from "../order/Order.ts"
import { Delivery } from "./Delivery.ts"
import { type Found, noStatuses, statusesOf } from "./SimulationFaults.ts"
import { countDeliveries, perSecond, type Summary, spanOf } from "./Summary.ts"

/** What a run knows so far. */
export class SimulationRun {
  readonly id: string
  readonly seed: number
  sent: ReadonlyArray<NewOrder> = []
  readonly deliveries = new Map<string, Delivery>()
  /** Final as far as is known, from events or looked up. */
  readonly final = new Set<string>()
  /** Final by events: an order that was looked up meanwhile may be reported again. */
  readonly ended = new Set<string>()
  readonly endedTwice = new Set<string>()
  listed: ReadonlyArray<Found> = []
  readonly gone = new Map<string, Status>()
  /** By the last event, or as seen when the orders were looked at. */
  readonly lastSeen = new Map<string, Status>()
  /** Events came, or the orders were looked at, so that a status not seen yet is Pending. */
  isWatched = false
  connectionsLost = 0
  begunAt = 0
  answeredAt = 0
  /** When something last happened to an order of this run. */
  movedAt = 0

  constructor(id: string, seed: number) {
    this.id = id
    this.seed = seed
  }

  /** An order that ends twice must have been asked for again in between, by someone else. */
  see({ order_id, status }: OrderEvent, now: number) {
    if (!order_id.startsWith(`${this.id}-`)) return
    this.movedAt = now
    this.lastSeen.set(order_id, status)
    if (status === "Pending") {
      this.final.delete(order_id)
      this.ended.delete(order_id)
    }
    if (!isFinal(status)) return
    if (this.ended.has(order_id)) this.endedTwice.add(order_id)
    this.ended.add(order_id)
    this.final.add(order_id)
  }

  /** Of all that are known to be stored, where they were not looked at in the end. */
  statusesSoFar() {
    if (!this.isWatched) return null
    const count = noStatuses()
    for (const status of this.lastSeen.values()) count[status] += 1
    for (const id of this.deliveries.keys()) if (this.isAcknowledged(id) && !this.lastSeen.has(id)) count.Pending += 1
    return count
  }

  isAcknowledged(id: string) {
    return Delivery.$is("Acknowledged")(this.deliveries.get(id))
  }

  summary(check: Summary["check"], interrupted = false): Summary {
    const counted = countDeliveries(this.deliveries.values())
    const seconds = ((this.answeredAt || this.movedAt) - this.begunAt) / 1000
    const statuses = check === null ? this.statusesSoFar() : statusesOf(this)
    const span = check === null ? null : spanOf(this.listed)
    return {
      run: this.id,
      seed: this.seed,
      orders: this.sent.length,
      ...counted,
      connections_lost: this.connectionsLost,
      seconds_submitting: seconds,
      seconds_to_last_completed: span,
      accepted_per_second: perSecond(counted.accepted + counted.replayed, seconds),
      completed_per_second: span === null || statuses === null ? null : perSecond(statuses.Completed, span),
      statuses,
      interrupted,
      check
    }
  }
}
