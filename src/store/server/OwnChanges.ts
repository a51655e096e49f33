import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { type Context, Data, Effect, Equal } from "effect"
import type { Totals } from "../Command.ts"
import type { Statements } from "../Statements.ts"

/** The database is not as the last session left it. */
export class ChangedByOthers extends Data.TaggedError("ChangedByOthers") {}

interface State {
  readonly lastChange: number
  readonly totals: Totals
}

const isSame = (one: State, other: State) =>
  one.lastChange === other.lastChange && Equal.equals(Data.struct(one.totals), Data.struct(other.totals))

/** Where other nodes may write as well there is nothing to hold against. */
export const changesOfAll = ({
  addToTotals
}: Pick<Context.Tag.Service<Statements>, "addToTotals">): Pick<
  ReturnType<typeof makeOwnChanges>,
  "addToTotals" | "committed" | "failed"
> & { readonly before: <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> } => ({
  addToTotals,
  before: (body) => body,
  committed: Effect.void,
  failed: Effect.void
})

/**
 * Holds against each new session of the writer that nobody else wrote since the last one: another process may have had
 * the lock meanwhile, and given it back. The number of the last change and the totals are to be what was committed last,
 * or what was to be committed when the session was lost.
 */
export const makeOwnChanges = (
  database: Pick<Context.Tag.Service<Statements>, "addToTotals" | "historyRange" | "totals">
) => {
  let checked: Connection | undefined
  /** What was committed last, and what may have been; neither before the first session. */
  let committed: State | undefined
  let unsure: State | undefined
  /** What the transaction that runs has made of it so far. */
  let made: State | undefined

  const check = Effect.gen(function* () {
    const { last: lastChange } = yield* database.historyRange
    const found = { lastChange, totals: yield* database.totals }
    const isOwn = [committed, unsure].some((state) => state !== undefined && isSame(state, found))
    if (committed !== undefined && !isOwn) return yield* new ChangedByOthers()
    committed = found
    unsure = undefined
  })
  const checkOnce = Effect.flatMap(SqlClient.TransactionConnection, ([connection]) =>
    connection === checked
      ? Effect.void
      : Effect.map(check, () => {
          checked = connection
        })
  )

  return {
    addToTotals: (added: Parameters<typeof database.addToTotals>[0]) =>
      Effect.tap(database.addToTotals(added), (state) =>
        Effect.sync(() => {
          made = state
        })
      ),
    /** To be run in place of the body of a transaction. */
    before: <A, E, R>(body: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        made = undefined
        return Effect.zipRight(checkOnce, body)
      }),
    committed: Effect.sync(() => {
      committed = made ?? committed
      if (made !== undefined) unsure = undefined
    }),
    failed: Effect.sync(() => {
      unsure = made ?? unsure
    })
  }
}
