import { Duration, Effect, Option } from "effect"
import type { RowKey } from "../order/OrderChange.ts"
import { BreakerEvent, Notice, type Step, type Verdict } from "./Breaker.ts"

/** The leave to claim one order. */
export interface Permit {
  /**
   * Says how the attempt ended, how long the processor asked to be left alone, and the code of the error. Answers
   * whether the attempt counts, should it have failed.
   */
  readonly report: (key: RowKey, verdict: Verdict, delay?: Duration.Duration, code?: string) => Effect.Effect<boolean>
  /** Gives the permit back, if it was not used. */
  readonly giveBack: () => void
  readonly isProbe: boolean
}

/** In whole seconds, as the log has it. */
const seconds = (millis: number) => Math.round(millis / 1000)

const say = Notice.$match({
  Opened: ({ failures, probeIn }) =>
    Effect.logWarning(
      `The processor failed ${failures} times in a row: the breaker is open, orders wait; one is tried in ${seconds(probeIn)} s`
    ),
  StillOpen: ({ probeIn, verdict }) => {
    const found =
      verdict === "unknown" ? "The order that was tried says nothing of the processor" : "The processor is still down"
    return Effect.logInfo(`${found}; the next order is tried in ${seconds(probeIn)} s`)
  },
  Closed: ({ openFor, why }) =>
    Effect.logInfo(
      `${why === "answered" ? "The processor is back" : "One order alone fails"}: the breaker is closed after ` +
        `${seconds(openFor)} s, orders are processed again`
    )
})

/** A permit, for the probe of that number if there is one, whose events go to the breaker. */
export const makePermit = (apply: (event: BreakerEvent) => Step, probe: Option.Option<number>): Permit => ({
  isProbe: Option.isSome(probe),
  report: (key, verdict, delay = Duration.zero, code) =>
    Effect.suspend(() => {
      const { counts, notice } = apply(
        BreakerEvent.Ended({
          key,
          verdict,
          delay: Duration.toMillis(delay),
          code: Option.fromNullable(code),
          probe
        })
      )
      return Option.match(notice, {
        onNone: () => Effect.succeed(counts),
        onSome: (notice) => {
          const said =
            verdict === "available" ? say(notice) : Effect.annotateLogs(say(notice), { error_code: code ?? verdict })
          return Effect.as(said, counts)
        }
      })
    }),
  giveBack: () => {
    if (Option.isSome(probe)) apply(BreakerEvent.GivenBack({ probe: probe.value }))
  }
})
