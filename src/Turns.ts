import { Effect } from "effect"

/** Lets the callbacks of the sockets run, so that what one turn of the event loop brought becomes one batch. */
export const nextTurn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

const turns = Effect.unsafeMakeSemaphore(1)

/**
 * Does a piece of what holds up the event loop, and gives the loop a turn after it. Whoever has such work to do, and in
 * however many requests, one piece is done at a turn.
 */
export const inTurn = <A, E, R>(piece: Effect.Effect<A, E, R>) => turns.withPermits(1)(Effect.zipLeft(piece, nextTurn))

const longMillis = 10
const shortMillis = 4
const least = 16
const most = 4096

/** Does pieces of a work, each in its turn, and finds out how large they may be so that each takes some milliseconds. */
export const makePace = (monotonicMillis: () => number) => {
  let size = 128
  return <A, E, R>(piece: (size: number) => Effect.Effect<A, E, R>) =>
    inTurn(
      Effect.suspend(() => {
        const startedAt = monotonicMillis()
        return Effect.tap(piece(size), () => {
          const took = monotonicMillis() - startedAt
          if (took > longMillis) size = Math.max(least, size >> 1)
          else if (took < shortMillis) size = Math.min(most, size << 1)
        })
      })
    )
}
