import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Clock, DateTime, Deferred, Duration, Effect, Option, Random, Schedule } from "effect"
import type { KeyInfo } from "../api/Answers.ts"
import * as Client from "../api/Client.ts"
import { WholeNumber } from "../api/Numbers.ts"
import type { Scope } from "../api/Scope.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { isFinal, OrderId, UserId } from "../order/Order.ts"
import { type Connection, connectionOf, service } from "./Connection.ts"
import { ordersOf } from "./Crowd.ts"
import { deliver, passesAfter } from "./Delivery.ts"
import { watchEvents } from "./Events.ts"
import { explained } from "./Explained.ts"
import { Failure, failed } from "./Failure.ts"
import { json } from "./Output.ts"
import { type Progress, showProgress } from "./Progress.ts"
import { type Found, faultsOf } from "./SimulationFaults.ts"
import { SimulationRun } from "./SimulationRun.ts"
import { printSummary } from "./Summary.ts"

const count = (name: string, max: number, fallback: number, description: string) =>
  Options.text(name).pipe(
    Options.withSchema(explained(WholeNumber(1, max), `--${name}: expected a whole number from 1 to ${max}`)),
    Options.withDefault(fallback),
    Options.withPseudoName("number"),
    Options.withDescription(`${description} [default: ${fallback}]`)
  )

const defaultPatience = "2 minutes"

const options = {
  service,
  json,
  orders: count("orders", 1_000_000, 1000, "How many orders"),
  concurrency: count("concurrency", 20_000, 100, "How many shoppers order at the same time, each by a connection"),
  users: count("users", 100_000, 100, "How many users they are"),
  seed: Options.text("seed").pipe(
    Options.withPseudoName("number"),
    Options.withSchema(explained(WholeNumber(0, 4_294_967_295), "--seed: expected a whole number up to 4294967295")),
    Options.optional,
    Options.withDescription("The same seed makes the same orders [default: a random one]")
  ),
  patience: Options.text("patience").pipe(
    Options.withPseudoName("duration"),
    Options.withDefault(defaultPatience),
    Options.mapTryCatch(
      (given) => Option.getOrThrow(Duration.decodeUnknown(given)),
      () => HelpDoc.p('--patience: expected a duration such as "2 minutes"')
    ),
    Options.withDescription(
      `How long an order is sent again, and how long nothing may happen, before it is given up [default: ${defaultPatience}]`
    )
  )
}

type Given = Command.Command.ParseConfig<typeof options>

/** By the clock that is never set: the run is not longer or shorter for it. */
const millis = Effect.map(monotonicMillis, (now) => now())

/** Asks again while the service is away or says to wait, as long as patience lasts. */
const patiently =
  (patience: Duration.Duration) =>
  <A, E extends { readonly _tag: string }, R>(self: Effect.Effect<A, E, R>) =>
    Effect.flatMap(monotonicMillis, (now) => {
      const until = now() + Duration.toMillis(patience)
      const pauseAfter = (error: { readonly _tag: string }) => Math.max(500, (passesAfter(error) ?? 0) * 1000)
      return self.pipe(
        Effect.timeout("30 seconds"),
        Effect.retry({
          while: (error) => passesAfter(error) !== undefined && now() + pauseAfter(error) < until,
          schedule: Schedule.addDelay(Schedule.identity<{ readonly _tag: string }>(), pauseAfter)
        })
      )
    })

/** All orders of the users of the run, as the service lists them now. */
const listAll = (api: Client.Client, run: SimulationRun, patience: Duration.Duration) => {
  const users = [...new Set(run.sent.map((order) => order.user_id))]
  return Effect.map(
    Effect.forEach(
      users,
      Effect.fnUntraced(function* (user) {
        const orders: Array<Found> = []
        let cursor: number | undefined
        do {
          const page = yield* api.orders
            .list({ urlParams: { user_id: UserId.make(user), limit: 500, cursor } })
            .pipe(patiently(patience))
          orders.push(...page.orders)
          cursor = page.next_cursor
        } while (cursor !== undefined)
        return orders
      }),
      { concurrency: 10 }
    ),
    (pages) => pages.flat()
  )
}

/** Looks at all orders of the run; those that are acknowledged and not listed are asked for by their ids. */
const survey = Effect.fnUntraced(function* (api: Client.Client, run: SimulationRun, patience: Duration.Duration) {
  const listed = yield* listAll(api, run, patience)
  const now = yield* millis
  const wallClock = yield* Clock.currentTimeMillis
  run.listed = listed
  run.isWatched = true
  const ids = new Set<string>(listed.map((order) => order.order_id))
  for (const order of listed) {
    run.lastSeen.set(order.order_id, order.status)
    if (isFinal(order.status) && !run.final.has(order.order_id)) {
      run.final.add(order.order_id)
      run.movedAt = now
    }
    // One that waits for its next attempt is not stuck.
    const wait = Option.match(order.next_attempt_at, {
      onNone: () => 0,
      onSome: (next) => DateTime.toEpochMillis(next) - wallClock
    })
    if (wait > 0) run.movedAt = Math.max(run.movedAt, now + wait)
  }
  const absent = run.sent.filter(({ order_id }) => run.isAcknowledged(order_id) && !ids.has(order_id))
  yield* Effect.forEach(
    absent,
    ({ order_id }) =>
      api.orders.find({ path: { order_id: OrderId.make(order_id) }, urlParams: {} }).pipe(
        patiently(patience),
        Effect.catchTags({
          OrderGone: ({ order_status }) =>
            Effect.sync(() => {
              run.gone.set(order_id, order_status)
              run.lastSeen.set(order_id, order_status)
            }),
          OrderNotFound: () => Effect.void
        })
      ),
    { concurrency: 10, discard: true }
  )
  return listed.every((order) => isFinal(order.status))
})

/** Until all that are stored are final, or nothing has happened to them for as long as patience lasts. */
const untilFinal = Effect.fnUntraced(function* (api: Client.Client, run: SimulationRun, patience: Duration.Duration) {
  const idle = 3000
  let surveyedAt = yield* millis
  run.movedAt = surveyedAt
  while (true) {
    const open = run.sent.some(({ order_id }) => run.isAcknowledged(order_id) && !run.final.has(order_id))
    const now = yield* millis
    // Without a connection no events come, so in a silence the orders themselves are looked at.
    if (!open || now - Math.max(run.movedAt, surveyedAt) > idle) {
      const isOver = yield* survey(api, run, patience)
      surveyedAt = yield* millis
      if (isOver || surveyedAt - run.movedAt > Duration.toMillis(patience)) return
      yield* Effect.sleep("500 millis")
    }
    yield* Effect.sleep("100 millis")
  }
})

const watchRun = (connection: Connection, run: SimulationRun, progress: Progress, opened: Deferred.Deferred<void>) => {
  let lost = false
  return watchEvents(connection, {
    filter: {},
    onOpen: Effect.suspend(() => {
      const again = lost
      lost = false
      run.isWatched = true
      return Effect.zipRight(
        Deferred.succeed(opened, undefined),
        again ? progress.note("Connected to the service again.") : Effect.void
      )
    }),
    onLost: (why, was) =>
      Effect.suspend(() => {
        if (was === "closed") return progress.note(`${why} Going on without events until they come.`)
        if (lost) return progress.note(`Still no connection to the events: ${why}`)
        lost = true
        run.connectionsLost += 1
        return progress.note(`Connection to the service lost: ${why} Sending again what was not answered.`)
      }),
    // What is missing is looked up: see `untilFinal`.
    onReset: () => Effect.void,
    onEvent: (event) => Effect.map(millis, (now) => run.see(event, now))
  }).pipe(
    Effect.catchTag("Failure", ({ lines }) =>
      Effect.zipRight(Deferred.succeed(opened, undefined), progress.note(`${lines.join(" ")} Going on without events.`))
    )
  )
}

const needed: ReadonlyArray<Scope> = ["submit", "read", "metrics"]

const checkScopes = ({ name, scopes }: KeyInfo) =>
  needed.every((scope) => scopes.includes(scope))
    ? Effect.void
    : failed(
        `simulate needs a key with the scopes ${needed.join(", ")}; ` +
          `${Option.getOrElse(name, () => "this one")} has ${scopes.join(", ")}.`
      )

const play = Effect.fnUntraced(function* (
  run: SimulationRun,
  { concurrency, json, orders, patience, service, users }: Given
) {
  const connection = yield* connectionOf(service)
  const api = yield* Client.make(connection)
  if (connection.apiKey !== undefined) yield* checkScopes(yield* api.service.key())
  const before = yield* api.service.metrics()
  run.sent = yield* ordersOf({ run: run.id, seed: run.seed, orders, users })
  const counted = () => {
    const [answered, final] = [run.deliveries.size, run.final.size]
    return {
      parts: [
        { name: "answered", count: answered, total: orders },
        { name: "final", count: final, total: orders }
      ],
      line: `${answered} of ${orders} answered, ${final} final`
    }
  }
  const progress = yield* showProgress(counted, json)

  const opened = yield* Deferred.make<void>()
  yield* Effect.forkScoped(watchRun(connection, run, progress, opened))
  // Without events, as when too many others watch, the orders are looked at from time to time.
  yield* Effect.timeoutOption(Deferred.await(opened), "5 seconds")

  run.begunAt = yield* millis
  yield* Effect.forEach(
    run.sent,
    (order) =>
      Effect.map(deliver(api, order, patience), (delivery) => {
        run.deliveries.set(order.order_id, delivery)
      }),
    { concurrency, discard: true }
  )
  run.answeredAt = yield* millis
  yield* untilFinal(api, run, patience)
  const after = yield* api.service.metrics().pipe(patiently(patience))
  return faultsOf({ ...run, before, after })
}, Effect.scoped)

const newRunId = Effect.map(
  Effect.all([Clock.currentTimeMillis, Random.nextIntBetween(0, 36 ** 4)]),
  ([now, random]) => `sim-${now.toString(36)}${random.toString(36).padStart(4, "0")}`
)

export const simulate = Command.make(
  "simulate",
  options,
  Effect.fnUntraced(function* (given) {
    const seed = yield* Option.match(given.seed, {
      onNone: () => Random.nextIntBetween(1, 1_000_000),
      onSome: Effect.succeed
    })
    const run = new SimulationRun(yield* newRunId, seed)
    const soFar = (interrupted: boolean) => printSummary(run.summary(null, interrupted), given.json)
    const faults = yield* play(run, given).pipe(
      Effect.onInterrupt(() => soFar(true)),
      Effect.tapError(() => (run.sent.length > 0 ? soFar(false) : Effect.void))
    )
    yield* printSummary(run.summary({ ok: faults.length === 0, faults }), given.json)
    if (faults.length > 0) return yield* new Failure({ lines: [], exitCode: 1 })
    if (run.final.size === 0) return yield* failed("No order was accepted, so there was nothing to check.")
  })
).pipe(Command.withDescription("Play a crowd of shoppers, and check the answers they got"))
