import type { OrderEventJson } from "../../src/api/OrderEvent.ts"

const noon = Date.parse("2026-01-31T12:00:00.000Z")

export const atSecond = (second: number) => new Date(noon + second * 1000).toISOString()

/** The first change of order 1, or what is given, as the event of it. */
export const aChange = (given: Partial<OrderEventJson> = {}): OrderEventJson => {
  const change = {
    id: 1,
    order_id: 1,
    user_id: "ann",
    from: null,
    to: "Pending",
    at: atSecond(0),
    run: 0,
    attempt: 0,
    reason: "accepted",
    error: null,
    next_attempt_at: null,
    by: null,
    ...given
  } as const
  return { ...change, status: change.to, attempts: change.attempt }
}
