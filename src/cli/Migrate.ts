import * as Fs from "node:fs/promises"
import * as Command from "@effect/cli/Command"
import { Effect, type Scope } from "effect"
import type { Status } from "../order/Order.ts"
import type { StartupError } from "../StartupError.ts"
import type { Compared, MoveProgress } from "../store/move/Move.ts"
import type { MoveSide, MoveTarget } from "../store/move/MoveSide.ts"
import { type Failure, failed, misused } from "./Failure.ts"
import { json, printFields, printJson } from "./Output.ts"
import { type Place, placeOf, placeOptions } from "./Place.ts"
import { showProgress } from "./Progress.ts"

/** A move is refused as a start is, but no setting is meant. */
const refused = ({ lines }: StartupError) => failed(...lines.map((line) => line.replace("DATABASE_URL: ", "")))

/** The place with links in its path resolved. */
const settled = (place: Place, isThere: boolean): Effect.Effect<Place, Failure> =>
  "file" in place
    ? Effect.tryPromise({
        try: async () => {
          if (isThere) return { file: await Fs.realpath(place.file) }
          const { realFile } = await import("../store/sqlite/PutInPlace.ts")
          return { file: await realFile(place.file) }
        },
        catch: (cause) =>
          isThere
            ? misused(`--from: there is no database at ${place.file}.`)
            : failed(`--to: ${cause instanceof Error ? cause.message : String(cause)}`)
      })
    : Effect.succeed(place)

/** Whether both are given as the same place. One database by two names is found by its lock, which can be had once only. */
const areSame = (one: Place, other: Place) => {
  if ("file" in one) return "file" in other && one.file === other.file
  if ("file" in other) return false
  const of = ({ database, host, options, port }: typeof one.server) => JSON.stringify([host, port, database, options])
  return of(one.server) === of(other.server)
}

/** Refuses what the doctor finds damaged. */
const examined = Effect.fnUntraced(function* (place: Place, shown: string) {
  const checks =
    "file" in place
      ? (yield* Effect.promise(() => import("./Checkup.ts"))).examine(place.file)
      : (yield* Effect.promise(() => import("./ServerCheckup.ts"))).examineServer(place.server)
  const wrong = (yield* checks).filter(({ state }) => state === "error")
  if (wrong.length === 0) return
  return yield* failed(
    `${shown} is damaged, so it is not moved. What the doctor finds:`,
    ...wrong.map(({ found, name }) => `  ${name}: ${found}`)
  )
})

/** A place as either end of a move. */
interface Ends {
  readonly source: Effect.Effect<MoveSide, StartupError, Scope.Scope>
  readonly target: Effect.Effect<MoveTarget, StartupError, Scope.Scope>
}

/** What a database needs is loaded only for it. */
const endsOf = (place: Place): Effect.Effect<Ends> => {
  if ("file" in place) {
    return Effect.map(
      Effect.promise(() => import("../store/sqlite/SqliteMove.ts")),
      ({ openSource, openTarget }) => ({ source: openSource(place.file), target: openTarget(place.file) })
    )
  }
  const { server } = place
  return Effect.map(
    Effect.promise(() =>
      server.kind === "mariadb"
        ? import("../store/mariadb/MariaDbMove.ts")
        : import("../store/postgres/PostgresMove.ts")
    ),
    ({ openSource, openTarget }) => ({ source: openSource(server), target: openTarget(server) })
  )
}

const opened = <A>(end: (ends: Ends) => Effect.Effect<A, StartupError, Scope.Scope>, place: Place) =>
  Effect.flatMap(endsOf(place), (ends) => Effect.mapError(end(ends), refused))

const percent = (count: number, total: number) => `${total === 0 ? 100 : Math.floor((100 * count) / total)} %`

const show = (progress: MoveProgress, quiet: boolean) =>
  showProgress(
    () => ({
      parts: [
        { name: "copied", count: progress.copied, total: progress.total },
        { name: "compared", count: progress.compared, total: progress.total }
      ],
      line:
        `copied ${percent(progress.copied, progress.total)}, ` +
        `compared ${percent(progress.compared, progress.total)}`
    }),
    quiet
  )

const plural = (count: number, one: string) => `${count} ${one}${count === 1 ? "" : "s"}`

const ordersText = (orders: Readonly<Record<Status, number>>) => {
  const entries = Object.entries(orders)
  const shown = entries.filter(([, count]) => count > 0).map(([status, count]) => `${count} ${status}`)
  const sum = entries.reduce((sum, [, count]) => sum + count, 0)
  return shown.length === 0 ? "none" : `${sum}: ${shown.join(", ")}`
}

const totalsText = ({ cancelled, completed, failed, pending, processing }: Compared["totals"]) =>
  `${pending} Pending, ${processing} Processing, ${completed} Completed, ${failed} Failed, ${cancelled} Cancelled`

export const migrate = Command.make(
  "migrate",
  {
    json,
    from: placeOptions("from", "The database that has the orders; it stays as it is"),
    to: placeOptions("to", "An empty one, or a file that is not there yet")
  },
  Effect.fnUntraced(function* ({ from, json, to }) {
    const source = yield* settled(yield* placeOf("from", from), true)
    const target = yield* settled(yield* placeOf("to", to), false)
    if (areSame(source, target)) return yield* misused("--from and --to name the same database.")
    const one = yield* opened(({ source }) => source, source)
    yield* examined(source, one.shown)
    const other = yield* opened(({ target }) => target, target)
    const progress: MoveProgress = { total: 0, copied: 0, compared: 0 }
    const { move } = yield* Effect.promise(() => import("../store/move/Move.ts"))
    const compared = yield* Effect.scoped(Effect.zipRight(show(progress, json), move(one, other, progress))).pipe(
      Effect.mapError((error) => (error._tag === "NotMoved" ? failed(error.line) : refused(error)))
    )
    const { changes, failures, nextKey, orders, pruned, totals } = compared
    if (json) {
      const { history_from, last_change } = totals
      return yield* printJson({
        from: one.shown,
        to: other.shown,
        orders,
        pruned,
        changes,
        history_from,
        last_change,
        error_codes: failures,
        totals,
        next_key: nextKey
      })
    }
    yield* printFields([
      ["from", one.shown],
      ["to", other.shown],
      ["orders", ordersText(orders)],
      ["pruned", pruned],
      ["changes", `${plural(changes, "change")}; the next has the id ${Number(totals.last_change) + 1}`],
      ["failures", plural(failures, "error code")],
      ["totals", totalsText(totals)],
      ["next key", nextKey],
      ["compared", "every column of every row, read again on both sides: equal"],
      ["now", "name the new database in DATABASE_URL, start the service, and put the old one away"]
    ])
  }, Effect.scoped)
).pipe(Command.withDescription("Move a stopped database into an empty one, and compare"))
