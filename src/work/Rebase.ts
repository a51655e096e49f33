import { Effect, Option } from "effect"
import { clockJump } from "../MonotonicClock.ts"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"

/** How many orders one transaction moves: it takes some 10 ms. */
const piece = 1000

/** Orders behind one key and up to another, that are to be moved by so many milliseconds. */
interface Move {
  readonly by: number
  readonly after: number
  readonly until: number
}

/** What is to be moved when the clock was set once more: what was moved already, what was not yet, and what came since. */
const movedOn = (moves: ReadonlyArray<Move>, by: number, newest: number): ReadonlyArray<Move> =>
  [
    { by, after: 0, until: moves[0]?.after ?? 0 },
    ...moves.map((move) => ({ ...move, by: move.by + by })),
    { by, after: moves.at(-1)?.until ?? 0, until: newest }
  ].filter(({ after, until }) => after < until)

/**
 * To be done before the clock decides which orders are due: at the start, and when the clock was set, the line follows it.
 * So what was accepted or postponed under a clock that was ahead does not wait until that time comes, and the wait for
 * the next attempt is neither cut short nor made longer.
 *
 * A long line moves piece by piece, by key and so each order once, with other writes between the pieces. Until all have
 * moved, none is handed out, so none is early. One that is postponed meanwhile may wait longer by as long as that takes.
 * If the process ends meanwhile, the next start finds those that would wait too long.
 */
export const makeRebase = Effect.gen(function* () {
  const commits = yield* GroupCommit
  const repo = yield* OrdersRepo
  const jumped = yield* clockJump
  const oneAtATime = yield* Effect.makeSemaphore(1)
  /** By how much the clock was set, if it is not among the moves yet. */
  let owed = Option.some(0)
  let moves: ReadonlyArray<Move> = []
  /** Orders that wait anew because of a start under a clock that had been ahead. */
  let anew = 0

  return Effect.gen(function* () {
    while (true) {
      const by = jumped()
      if (by !== 0) {
        owed = Option.some(Option.getOrElse(owed, () => 0) + by)
        const seconds = Math.round(Math.abs(by) / 1000)
        yield* Effect.logWarning(
          `The clock was set ${by > 0 ? "ahead" : "back"} by ${seconds} s; waits go on as before`
        )
      }
      if (Option.isSome(owed)) {
        const newest = yield* repo.list({}, Option.none(), 1)
        moves = movedOn(moves, owed.value, newest.found[0]?.key ?? 0)
        owed = Option.none()
      }
      const [move, ...others] = moves
      if (move === undefined) break
      const result = yield* commits.settle(Command.Rebase({ ...move, limit: piece }))
      moves = Option.match(result.next, { onNone: () => others, onSome: (after) => [{ ...move, after }, ...others] })
      if (move.by === 0) anew += result.count
    }
    if (anew > 0) {
      yield* Effect.logWarning(
        `${anew} orders were to wait longer than they should: the clock was ahead of what it is now. They wait anew`
      )
    }
    anew = 0
  }).pipe(oneAtATime.withPermits(1))
})
