/** A table as it is moved. */
export interface MovedTable {
  readonly name: string
  /** Rows are read in the order of this column, by its index. */
  readonly key: string
  readonly columns: Readonly<Record<string, "integer" | "text">>
  /** The columns whose texts may be so long that few rows fit into the memory at once. */
  readonly long: ReadonlyArray<string>
}

const orders: MovedTable = {
  name: "orders",
  key: "seq",
  columns: {
    seq: "integer",
    order_id: "text",
    status: "text",
    user_id: "text",
    item_ids: "text",
    total_amount: "integer",
    currency: "text",
    metadata: "text",
    traceparent: "text",
    run: "integer",
    attempts: "integer",
    losses: "integer",
    round: "integer",
    accepted_at: "integer",
    due_at: "integer",
    wait: "integer",
    started_at: "integer",
    finished_at: "integer",
    took: "integer",
    last_error: "text",
    error_code: "text",
    result: "text"
  },
  long: ["item_ids", "metadata", "last_error", "result"]
}

const pruned: MovedTable = {
  name: "pruned",
  key: "order_id",
  columns: { order_id: "text", fingerprint: "text", status: "text", finished_at: "integer" },
  long: []
}

const changes: MovedTable = {
  name: "changes",
  key: "id",
  columns: {
    id: "integer",
    seq: "integer",
    from_status: "text",
    to_status: "text",
    at: "integer",
    run: "integer",
    attempt: "integer",
    reason: "text",
    error: "text",
    due_at: "integer",
    asked_by: "text"
  },
  long: ["error"]
}

/** Before the orders, whose triggers then find nothing to add. */
const spans: MovedTable = {
  name: "spans",
  key: "block",
  columns: { block: "integer", earliest: "integer", latest: "integer" },
  long: []
}

const failures: MovedTable = {
  name: "failures",
  key: "error_code",
  columns: { error_code: "text", count: "integer" },
  long: []
}

/** All tables of many rows, in the order in which they are moved. */
export const movedTables = { spans, orders, pruned, changes, failures }

/** The columns of the one row of `totals`, but for its key. */
export const totalsColumns = [
  "pending",
  "processing",
  "completed",
  "failed",
  "cancelled",
  "processing_ms",
  "failure_codes",
  "retention_at",
  "last_change",
  "history_from"
] as const
