import { Context } from "effect"

/** Bytes that one order may have as JSON, alone or in bulk. */
export const orderLimit = 65_536
/** Orders that one bulk call may have, and bytes. */
export const [bulkOrders, bulkLimit] = [10_000, 8 * 1024 * 1024]
/** Bulk calls that are in hand at a time, and that may wait for their turn. */
export const [bulkCalls, bulkCallsWaiting] = [2, 8]
/** Bytes of bodies that may be in memory at a time in all, and that bulk calls may fill them up to. */
export const [bodyBytes, bulkBodyBytes] = [64 * 1024 * 1024, 48 * 1024 * 1024]
/** In one bulk call all faults are named up to here; after that, of each bad order the first. */
export const bulkFaults = 1000

/** An annotation of endpoints: what a body may be. An endpoint without it takes one order's worth of JSON. */
export class BodyRules extends Context.Reference<BodyRules>()("orders/BodyRules", {
  defaultValue: () => ({
    /** Bytes at most. */
    limit: orderLimit,
    /** Whether it may be lines of JSON (application/x-ndjson) too. */
    lines: false
  })
}) {}
