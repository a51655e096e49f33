import type * as Statement from "@effect/sql/Statement"
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

/** What databases say in different ways: everything else of the statements is common to all. */
export interface Dialect {
  /**
   * A table made of objects: one parameter of the statement, however many they are. What is not an integer is a text, and
   * a property that is not there is NULL. JSON is handed on as a text, so that no database reads it.
   */
  readonly rows: (
    objects: ReadonlyArray<object>,
    columns: Readonly<Record<string, "integer" | "text">>
  ) => Statement.Fragment
  /** The values of a list, as one parameter, for `IN`. */
  readonly anyOf: {
    readonly keys: (keys: ReadonlyArray<number>) => Statement.Fragment
    readonly ids: (ids: ReadonlyArray<string>) => Statement.Fragment
  }
  /** The table of orders, read by that index and no other where the database might take another. */
  readonly by: (index: string) => Statement.Fragment
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
  /** The ids of a query in its order, as one text of JSON. */
  readonly idList: (query: Statement.Fragment) => Statement.Fragment
  /** What sets the column `error_code` beside `last_error`, unless the database takes it out of that. */
  readonly errorCode: (value: Statement.Fragment) => Statement.Fragment
}
