import { MultiBar, Presets } from "cli-progress"
import { Effect, Schedule } from "effect"
import { visible } from "../order/VisibleText.ts"
import { printErrorLines } from "./Output.ts"

/** What is counted up to a total, which may become known only later. */
export interface Part {
  readonly name: string
  readonly count: number
  readonly total: number
}

/** How far it is: as bars of always the same names, and as a line. */
export interface Counted {
  readonly parts: ReadonlyArray<Part>
  readonly line: string
}

export interface Progress {
  /** Says something beside the progress. */
  readonly note: (text: string) => Effect.Effect<void>
}

const silent: Progress = { note: () => Effect.void }

const bars = (counted: () => Counted) =>
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
    const { parts } = counted()
    const width = Math.max(...parts.map(({ name }) => name.length))
    const made = parts.map(({ name, total }) => multi.create(total, 0, { name: name.padEnd(width) }))
    const show = () => {
      for (const [index, { count, total }] of counted().parts.entries()) {
        made[index]?.setTotal(total)
        made[index]?.update(count)
      }
    }
    yield* Effect.forkScoped(Effect.repeat(Effect.sync(show), Schedule.spaced("100 millis")))
    const progress: Progress = { note: (text) => Effect.sync(() => multi.log(`${visible(text)}\n`)) }
    return progress
  })

const lines = (counted: () => Counted) =>
  Effect.gen(function* () {
    let last = ""
    const show = Effect.suspend(() => {
      const { line } = counted()
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
export const showProgress = (counted: () => Counted, quiet: boolean) =>
  quiet ? Effect.succeed(silent) : process.stderr.isTTY === true ? bars(counted) : lines(counted)
