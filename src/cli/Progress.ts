import { MultiBar, Presets } from "cli-progress"
import { Effect, Schedule } from "effect"
import { visible } from "../order/VisibleText.ts"
import { printErrorLines } from "./Output.ts"

export interface Counts {
  readonly answered: number
  readonly final: number
}

export interface Progress {
  /** Says something beside the progress. */
  readonly note: (text: string) => Effect.Effect<void>
}

const silent: Progress = { note: () => Effect.void }

const bars = (total: number, counts: () => Counts) =>
  Effect.gen(function* () {
    const multi = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new MultiBar(
            { format: "{name} {bar} {value}/{total}", hideCursor: true, clearOnComplete: false, fps: 10 },
            Presets.shades_grey
          )
      ),
      (multi) =>
        Effect.sync(() => {
          show()
          multi.stop()
        })
    )
    const answered = multi.create(total, 0, { name: "answered" })
    const final = multi.create(total, 0, { name: "final   " })
    const show = () => {
      answered.update(counts().answered)
      final.update(counts().final)
    }
    yield* Effect.forkScoped(Effect.repeat(Effect.sync(show), Schedule.spaced("100 millis")))
    const progress: Progress = { note: (text) => Effect.sync(() => multi.log(`${visible(text)}\n`)) }
    return progress
  })

const lines = (total: number, counts: () => Counts) =>
  Effect.gen(function* () {
    let last = ""
    const show = Effect.suspend(() => {
      const { answered, final } = counts()
      const line = `${answered} of ${total} answered, ${final} final`
      if (line === last) return Effect.void
      last = line
      return printErrorLines([line])
    })
    yield* Effect.addFinalizer(() => show)
    yield* Effect.forkScoped(Effect.repeat(show, Schedule.spaced("1 second")))
    const progress: Progress = { note: (text) => printErrorLines([text]) }
    return progress
  })

/** On standard error for as long as the scope: bars on a terminal, else a line a second when something moved. */
export const showProgress = (total: number, counts: () => Counts, quiet: boolean) =>
  quiet ? Effect.succeed(silent) : process.stderr.isTTY === true ? bars(total, counts) : lines(total, counts)
