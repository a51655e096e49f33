import { Effect, identity } from "effect"

/**
 * Runs statements of one transaction at once: a connection that pipelines sends them all before the first is answered. It
 * fails as the first of them does, for that is why those behind it fail.
 */
export const atOnce = <A, E, R>(statements: ReadonlyArray<Effect.Effect<A, E, R>>): Effect.Effect<Array<A>, E, R> =>
  Effect.flatMap(Effect.forEach(statements, Effect.exit, { concurrency: "unbounded" }), (exits) =>
    Effect.forEach(exits, identity)
  )
