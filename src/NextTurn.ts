import { Effect } from "effect"

/** Lets the callbacks of the sockets run, so that what one turn of the event loop brought becomes one batch. */
export const nextTurn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

const turns = Effect.unsafeMakeSemaphore(1)

/**
 * Does a piece of what holds up the event loop, and gives the loop a turn after it. One piece is
 * done at a turn, however many requests have such work to do.
 */
export const inTurn = <A, E, R>(piece: Effect.Effect<A, E, R>) => turns.withPermits(1)(Effect.zipLeft(piece, nextTurn))
