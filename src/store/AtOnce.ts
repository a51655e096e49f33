import { Effect, Exit } from "effect"
import { errorCode } from "./server/ServerErrors.ts"

/** What PostgreSQL answers to a statement of a transaction in which another one has failed. */
const inFailedTransaction = "25P02"

/** The failure that is the cause of the others, if there are any. */
const causeOf = <E>(exits: ReadonlyArray<Exit.Exit<unknown, E>>) => {
  const failures = exits.filter(Exit.isFailure)
  const isConsequence = ({ cause }: Exit.Failure<unknown, E>) =>
    cause._tag === "Fail" && errorCode(cause.error) === inFailedTransaction
  const failure = failures.find((failure) => !isConsequence(failure)) ?? failures[0]
  return failure === undefined ? undefined : Exit.failCause(failure.cause)
}

/** Runs statements of one transaction at once: a connection that pipelines sends them all before the first is answered. */
export const atOnce = <A, E, R>(statements: ReadonlyArray<Effect.Effect<A, E, R>>): Effect.Effect<Array<A>, E, R> =>
  Effect.flatMap(
    Effect.forEach(statements, Effect.exit, { concurrency: "unbounded" }),
    (exits) => causeOf(exits) ?? Effect.all(exits)
  )

/** The same for two of different kinds. */
export const bothAtOnce = <A, E, R, A2, E2, R2>(
  one: Effect.Effect<A, E, R>,
  other: Effect.Effect<A2, E2, R2>
): Effect.Effect<[A, A2], E | E2, R | R2> =>
  Effect.flatMap(
    Effect.all([Effect.exit(one), Effect.exit(other)], { concurrency: "unbounded" }),
    (exits) => causeOf<E | E2>(exits) ?? Effect.all(exits)
  )
