import type { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import type { Effect } from "effect"
import type { Status } from "../../order/Order.ts"
import type { Direction, KeyRange } from "../Statements.ts"

/** Orders by an index: those with these values in its first columns, and a key of the range behind them. */
export interface Slice {
  readonly index: string
  readonly values: Readonly<Partial<Record<"user_id" | "status" | "error_code", string | Statement.Fragment>>>
  /** The status whose rows alone are in the index, if that is so. */
  readonly partial?: Status
  readonly range: KeyRange
  readonly direction: Direction
}

/** An index that has only some of the orders. */
export type PartialIndex = "orders_pending" | "orders_suspect" | "orders_failed_at" | "orders_prunable"

/** The columns of a table made of objects. A `name` is a text of 255 characters at most, such as an id or a status. */
export type Columns = Readonly<Record<string, "integer" | "name" | "text">>

/** A change of orders, and what is to be known of each of them then. */
export interface Update {
  /** The table of orders, if it is to be read by an index. */
  readonly orders?: Statement.Fragment
  /** A table beside it, with its name. */
  readonly from?: Statement.Fragment
  readonly set: Statement.Fragment
  readonly where: Statement.Fragment
  /** Of columns of the orders. */
  readonly returning: Statement.Fragment
}

/** What databases say in different ways: everything else of the statements is common to all. */
export interface Dialect {
  /**
   * A table made of objects: one parameter of the statement, however many they are. A property that is not there is NULL.
   * JSON is handed on as a text, so that no database reads it.
   */
  readonly rows: (objects: ReadonlyArray<object>, columns: Columns) => Statement.Fragment
  /** The values of a list, as one parameter, for `IN`. */
  readonly anyOf: {
    readonly keys: (keys: ReadonlyArray<number>) => Statement.Fragment
    readonly ids: (ids: ReadonlyArray<string>) => Statement.Fragment
  }
  /** The orders of an index that has only some. They are read by it, also where the database might take another. */
  readonly partial: (index: PartialIndex) => { readonly from: Statement.Fragment; readonly isIn: Statement.Fragment }
  /** The same for a part of an index. `isIn` holds for its orders, and `order` is that of their keys. */
  readonly slice: (slice: Slice) => {
    readonly from: Statement.Fragment
    readonly isIn: Statement.Fragment
    readonly order: Statement.Fragment
  }
  /** Whether an order of the table has that status, where an index gives no more than its key. */
  readonly hasStatus: (status: Status) => Statement.Fragment
  /** `changes` with the orders they are of, read in the order of that index. */
  readonly changesBy: (index: "id" | "order") => Statement.Fragment
  /** The first ids of a query in its order, as one text of JSON. */
  readonly idList: (query: Statement.Fragment, limit: number) => Statement.Fragment
  /** What sets the column `error_code` beside `last_error`, unless the database takes it out of that. */
  readonly errorCode: (value: Statement.Fragment) => Statement.Fragment
  /** The key of a new order, beside its other columns and their values, unless the database gives keys itself. */
  readonly newKey: { readonly column: Statement.Fragment; readonly value: Statement.Fragment }
  /** What leaves out a new order whose id another process has given to one meanwhile, if there may be another. */
  readonly orSkip: Statement.Fragment
  /** Changes orders: each as it is after that. */
  readonly update: <A extends object>(update: Update) => Effect.Effect<ReadonlyArray<A>, SqlError>
  /** The same for the one row of the totals, with a text made once: the numbers in it only stand for those to come. */
  readonly updateTotals: <A extends object>(
    update: Pick<Update, "set" | "returning">
  ) => (numbers: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<A>, SqlError>
  /** Removes the rows of those orders. */
  readonly remove: (from: "orders" | "changes", keys: ReadonlyArray<number>) => Effect.Effect<unknown, SqlError>
}
