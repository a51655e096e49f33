import { Context, Schema } from "effect"

/** What a key is good for: to submit orders, to read them, to cancel and retry them, to read the metrics. */
export const Scope = Schema.Literal("submit", "read", "operate", "metrics").annotations({ identifier: "Scope" })
export type Scope = typeof Scope.Type

export const scopes: ReadonlyArray<Scope> = Scope.literals

/** An annotation of endpoints: the scope that a key needs for it. Without it any key will do. */
export class NeededScope extends Context.Reference<NeededScope>()("orders/NeededScope", {
  defaultValue: (): Scope | undefined => undefined
}) {}
