import { Array as Arr, type Context, Effect, Option } from "effect"
import type { Commit } from "./Command.ts"
import type { Statements } from "./Statements.ts"

/**
 * What the last transaction was to commit, if it failed: a server may have committed it, and only its answer was lost.
 * As nobody else writes, the number of the last change shows whether it did.
 */
export const makeLostCommit = (database: Context.Tag.Service<Statements>) => {
  let lost = Option.none<Commit>()
  const find = Effect.fnUntraced(function* ({ changes }: Commit) {
    const { last } = yield* database.historyRange
    const found = changes.filter(({ id }) => id <= last)
    if (!Arr.isNonEmptyReadonlyArray(found)) return Option.none<Commit>()
    return Option.some<Commit>({ changes: found, totals: yield* database.totals })
  })
  return {
    isUnsure: () => Option.isSome(lost),
    /** To be run first in a transaction: what of it has been committed. */
    find: Effect.suspend(() => Effect.map(Effect.transposeMapOption(lost, find), Option.flatten)),
    /** A transaction failed that was to commit this; nothing, if it had not come so far. */
    failed: (commit: Option.Option<Commit>) => {
      lost = Option.orElse(commit, () => lost)
    },
    succeeded: () => {
      lost = Option.none()
    }
  }
}
