import { Schema } from "effect"
import { bullmqs, ours, pgBoss, preparedInsert, sqlites } from "../Contestants.ts"
import { interleave } from "../Rounds.ts"
import { countedSeconds, isShort, rounds, warmUpSeconds } from "../Settings.ts"
import { entrant, measureIntake } from "./single.ts"

const Answer = Schema.Struct({ perSecond: Schema.Number, cpu: Schema.Number })

/** Shorter than single orders: 500 a request warm a program up sooner. */
export const bulkSeconds = [Math.ceil(warmUpSeconds / 2), Math.ceil(countedSeconds / 2)] as const

/** 500 orders a request, 8 connections; and beside it the same rows laid into the same table without a service. */
export const bulk = () =>
  interleave("bulk of 500", rounds, [
    entrant(ours, () => measureIntake(ours, 8, 500, bulkSeconds)),
    {
      name: preparedInsert.name,
      onPowerLoss: preparedInsert.onPowerLoss,
      measure: async () => {
        const { program, stop } = await preparedInsert.startWith(...bulkSeconds)
        try {
          const answer = Schema.decodeUnknownSync(Answer)(await program.ask("insert"))
          return { ...answer, memory: program.peakMegabytes() }
        } finally {
          await stop()
        }
      }
    },
    ...(isShort ? [] : [...sqlites, ...bullmqs, pgBoss]).map((contestant) =>
      entrant(contestant, () => measureIntake(contestant, 8, 500, bulkSeconds))
    )
  ])
