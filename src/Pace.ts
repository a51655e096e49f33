import { Effect } from "effect"
import { inTurn } from "./NextTurn.ts"

interface Sizes {
  readonly first: number
  readonly least: number
  readonly most: number
  /** A piece that takes longer is followed by one of half the size, and one that takes well less by one of twice. */
  readonly longMillis: number
}

/** Does pieces of a work, and finds out how large they may be so that each takes no longer than it may. */
export const makeSizing = (monotonicMillis: () => number, { first, least, longMillis, most }: Sizes) => {
  let size = first
  return <A, E, R>(piece: (size: number) => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const startedAt = monotonicMillis()
      return Effect.tap(piece(size), () => {
        const took = monotonicMillis() - startedAt
        if (took > longMillis) size = Math.max(least, size >> 1)
        else if (took < longMillis * 0.4) size = Math.min(most, size << 1)
      })
    })
}

/** Looks, at so many orders at a time that it takes some milliseconds, each time in its turn. */
export const makePace = (monotonicMillis: () => number) => {
  const sized = makeSizing(monotonicMillis, { first: 128, least: 16, most: 4096, longMillis: 10 })
  return <A, E, R>(look: (size: number) => Effect.Effect<A, E, R>) => inTurn(sized(look))
}
