import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, type Context, DateTime, Deferred, Effect, Exit, Fiber, Layer, Option, type Scope } from "effect"
import type { AppConfig } from "../../src/AppConfig.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { StorageUnavailable } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { Command, type Lane, Outcome } from "../../src/store/Command.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { OrderQueue } from "../../src/work/OrderQueue.ts"
import type { Ticket } from "../../src/work/Ticket.ts"
import { adjust, jumping, setTime } from "../support/JumpingClock.ts"
import { keyRange } from "../support/RepoKit.ts"
import { anInsert, config, memoryRepo, sqlRepo } from "../support/TestLayers.ts"
import { turns, untilInTurns } from "../support/Until.ts"

type Repo = Context.Tag.Service<OrdersRepo>
type Window = (limit: number) => ReturnType<Repo["window"]>
type Services = OrderQueue | GroupCommit | Metrics | OrdersRepo | Scope.Scope

const capacity = 10
const insert = (id: number) => anInsert(id)

/** Runs the body with a queue on a repository in which that many orders wait already. */
const test = <E>(
  title: string,
  options: {
    readonly repo?: Layer.Layer<OrdersRepo, unknown, AppConfig>
    readonly pending?: number
    readonly window?: (window: Window) => Window
  },
  body: Effect.Effect<void, E, Services>
) => {
  const repo: Layer.Layer<OrdersRepo, unknown, AppConfig> = options.repo ?? memoryRepo
  const prepared = Layer.effect(
    OrdersRepo,
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const pending = Arr.makeBy(options.pending ?? 1, (index) => insert(index + 1))
      if (options.pending !== undefined) yield* repo.write(pending)
      const open: Window = (limit) => repo.window("open", limit)
      const changed = options.window?.(open) ?? open
      return OrdersRepo.of({
        ...repo,
        window: (lane, limit) => (lane === "open" ? changed(limit) : repo.window(lane, limit))
      })
    })
  ).pipe(Layer.provide(repo))
  const layer = OrderQueue.layer.pipe(
    Layer.provideMerge(Metrics.layer),
    Layer.provideMerge(GroupCommit.layer),
    Layer.provideMerge(OrderEvents.layer),
    Layer.provideMerge(prepared),
    Layer.provideMerge(config({ queueCapacity: capacity }))
  )
  it.scoped(title, () => body.pipe(Effect.provide(layer), jumping))
}

const write = (command: Command) => Effect.flatMap(GroupCommit, (commits) => commits.write(command))
/** What ends the use of each key. */
const held = new Map<string, Deferred.Deferred<void>>()
const takeFrom = Effect.fnUntraced(function* (lane: Lane) {
  const { take } = yield* OrderQueue
  const taken = yield* Deferred.make<RowKey>()
  const used = yield* Deferred.make<void>()
  const use = ({ key }: Ticket) => Effect.zipRight(Deferred.succeed(taken, key), Deferred.await(used))
  const fiber = yield* Effect.forkScoped(take(lane, use))
  const key = yield* Effect.onInterrupt(Deferred.await(taken), () => Fiber.interrupt(fiber))
  held.set(`${lane} ${key}`, used)
  return key
})
const take = takeFrom("open")
const settled = (key: number, lane: Lane = "open") =>
  Effect.suspend(() => {
    const used = held.get(`${lane} ${key}`)
    return used === undefined ? Effect.void : Effect.zipRight(Deferred.succeed(used, undefined), Effect.yieldNow())
  })
const ready = Effect.flatMap(OrderQueue, (queue) => queue.ready)

/** What a worker does with a key. */
const work = Effect.tap(take, (key) => Effect.zipRight(write(Command.Claim({ key, job: Option.none() })), settled(key)))

/** What can be taken without waiting for the clock. */
const takeAllFrom = Effect.fnUntraced(function* (lane: Lane) {
  const keys: Array<RowKey> = []
  yield* turns
  const fiber = yield* Effect.fork(Effect.forever(Effect.map(takeFrom(lane), (key) => keys.push(key))))
  yield* turns
  yield* Fiber.interrupt(fiber)
  return keys
})
const takeAll = takeAllFrom("open")
const nothingToTake = Effect.map(takeAll, (keys) => assert.deepStrictEqual(keys, []))

/** The fiber that feeds the queue, interrupted as soon as it may be. */
const interruptSelf = Effect.zipRight(
  Effect.withFiberRuntime<void>((fiber) => Fiber.interruptFork(fiber)),
  Effect.yieldNow()
)

/** The first reads go as the given ones say, later ones as they should. */
const first =
  (...troubles: ReadonlyArray<(window: Window) => Window>) =>
  (window: Window): Window => {
    let count = 0
    return (limit) => (troubles[count++]?.(window) ?? window)(limit)
  }

describe("hands out", () => {
  const limits: Array<number> = []
  test(
    "every order once, in order of arrival, and never holds more than its capacity",
    {
      pending: 300,
      window: (window) => (limit) => {
        limits.push(limit)
        return window(limit)
      }
    },
    Effect.gen(function* () {
      const metrics = yield* Metrics
      const submitting = yield* Effect.fork(
        Effect.forEach(Arr.range(301, 500), (id) => Effect.zipRight(turns, write(insert(id))), { discard: true })
      )
      const keys: Array<RowKey> = []
      for (let count = 0; count < 500; count++) {
        keys.push(yield* work)
        assert.isAtMost((yield* metrics.snapshot).queue_depth, capacity)
      }
      yield* Fiber.join(submitting)
      assert.deepStrictEqual(keys, keyRange(1, 500))
      assert.isAtMost(Math.max(...limits), capacity + 1)
      yield* nothingToTake
    })
  )

  test(
    "every order once to many workers",
    { pending: 300 },
    Effect.gen(function* () {
      const keys: Array<RowKey> = []
      const worker = Effect.forever(Effect.map(work, (key) => keys.push(key)))
      const fibers = yield* Effect.replicateEffect(Effect.fork(worker), 7)
      yield* untilInTurns(Effect.sync(() => keys.length >= 300))
      yield* turns
      yield* Fiber.interruptAll(fibers)
      assert.deepStrictEqual(
        keys.sort((a, b) => a - b),
        keyRange(1, 300)
      )
    })
  )

  test(
    "the next orders however many have been taken and are not settled",
    { pending: 4 * capacity },
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* takeAll, keyRange(1, 4 * capacity))
      yield* nothingToTake
    })
  )

  test(
    "a new order as soon as it is committed",
    {},
    Effect.gen(function* () {
      yield* nothingToTake
      yield* write(insert(1))
      assert.deepStrictEqual(yield* takeAll, [1])
      yield* write(insert(2))
      yield* write(insert(3))
      assert.deepStrictEqual(yield* takeAll, [2, 3])
    })
  )

  test(
    "an order when it becomes due, and not before",
    {
      repo: Layer.effect(
        OrdersRepo,
        Effect.gen(function* () {
          const repo = yield* OrdersRepo
          const sql = yield* SqlClient.SqlClient
          yield* repo.write([insert(1), insert(2), insert(3)])
          yield* sql`UPDATE orders SET due_at = 60000, wait = 60000 WHERE seq = 1`
          yield* sql`UPDATE orders SET due_at = 3000, wait = 3000 WHERE seq = 2`
          return repo
        })
      ).pipe(Layer.provide(sqlRepo))
    },
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* takeAll, [3])
      yield* setTime(2999)
      yield* nothingToTake
      yield* setTime(3000)
      assert.deepStrictEqual(yield* takeAll, [2])
      yield* setTime(59_999)
      yield* nothingToTake
      yield* setTime(60_000)
      assert.deepStrictEqual(yield* takeAll, [1])
    })
  )

  test(
    "no order again before it is settled, and then only if it still waits",
    { pending: 2 },
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* takeAll, [1, 2])
      yield* write(insert(3))
      assert.deepStrictEqual(yield* takeAll, [3])
      yield* adjust("1 minute")
      yield* nothingToTake
      yield* write(Command.Claim({ key: RowKey(2), job: Option.none() }))
      yield* Effect.all([settled(1), settled(2)])
      yield* adjust("5 seconds")
      assert.deepStrictEqual(yield* takeAll, [1])
    })
  )

  const lost = (...keys: ReadonlyArray<number>) =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      for (const key of keys) yield* repo.write([Command.Claim({ key: RowKey(key), job: Option.none() })])
      yield* repo.write([Command.Recover({ maxAttempts: 9 })])
    })

  test(
    "suspects in a lane of their own, and nothing of one lane in the other",
    {
      repo: Layer.effect(
        OrdersRepo,
        Effect.gen(function* () {
          const repo = yield* OrdersRepo
          yield* repo.write(Arr.makeBy(8, (index) => insert(index + 1)))
          yield* Effect.provideService(Effect.zipRight(lost(1, 2, 4, 5, 6, 7), lost(2, 4, 5, 6, 7)), OrdersRepo, repo)
          return repo
        })
      ).pipe(Layer.provide(memoryRepo))
    },
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* takeAll, [1, 3, 8])
      assert.deepStrictEqual(yield* takeAllFrom("suspect"), [2, 4, 5, 6, 7])
      // Taken and not settled, and settled in the wrong lane.
      yield* settled(2)
      yield* adjust("1 minute")
      assert.deepStrictEqual(yield* takeAllFrom("suspect"), [])
      yield* settled(2, "suspect")
      yield* adjust("1 minute")
      assert.deepStrictEqual(yield* takeAllFrom("suspect"), [2])
      yield* nothingToTake
    })
  )

  test(
    "an order again when its retry is due, in its turn among the others",
    { pending: 2 },
    Effect.gen(function* () {
      yield* work
      yield* work
      const error = { code: "busy", message: "later", attempt: 1, at: DateTime.unsafeMake(0) }
      const postpone = (key: number, millis: number) =>
        write(
          Command.Record({
            key: RowKey(key),
            run: 1,
            outcome: Outcome.Postponed({ error, wait: millis }),
            at: DateTime.unsafeMake(0),
            took: 0
          })
        )
      yield* postpone(1, 8000)
      yield* postpone(2, 3500)
      yield* nothingToTake
      yield* setTime(3499)
      yield* nothingToTake
      yield* setTime(3500)
      assert.deepStrictEqual(yield* takeAll, [2])
      yield* setTime(7999)
      yield* write(insert(3))
      yield* setTime(8000)
      yield* write(insert(4))
      assert.deepStrictEqual(yield* takeAll, [3, 1, 4])
      yield* nothingToTake
    })
  )

  const latch = Effect.unsafeMakeLatch(true)
  test(
    "an order that was committed while the table was being read",
    { pending: 8, window: (window) => (limit) => Effect.tap(window(limit), () => latch.await) },
    Effect.gen(function* () {
      yield* turns
      assert.deepStrictEqual(yield* Effect.replicateEffect(take, 3), [1, 2, 3])
      yield* latch.close
      yield* write(insert(9))
      yield* turns
      yield* write(insert(10))
      yield* latch.release
      yield* turns
      // The queue is more than half full now, and a second reading under way.
      yield* Effect.forEach([1, 2, 3], (key) =>
        Effect.zipRight(write(Command.Claim({ key: RowKey(key), job: Option.none() })), settled(key))
      )
      yield* write(insert(11))
      yield* latch.open
      yield* turns
      assert.includeMembers(yield* takeAll, Arr.range(4, 11))
    })
  )
})

describe("goes on", () => {
  let down = false
  test(
    "when the storage fails, and says so meanwhile",
    { window: (window) => (limit) => (down ? new StorageUnavailable({}) : window(limit)) },
    Effect.gen(function* () {
      yield* turns
      assert.isTrue(yield* ready)
      down = true
      yield* write(insert(1))
      yield* nothingToTake
      assert.isFalse(yield* ready)
      yield* adjust("10 seconds")
      assert.isFalse(yield* ready)
      down = false
      yield* adjust("1 second")
      assert.deepStrictEqual(yield* takeAll, [1])
      assert.isTrue(yield* ready)
    })
  )

  for (const [title, trouble] of [
    ["interrupted before it reads", (window) => (limit) => Effect.zipRight(interruptSelf, window(limit))],
    ["interrupted while it reads", () => () => Effect.zipRight(interruptSelf, Effect.never)],
    ["interrupted after it read", (window) => (limit) => Effect.tap(window(limit), () => interruptSelf)],
    ["interrupted from inside", () => () => Effect.interrupt],
    ["ended by a defect", () => () => Effect.die("defect")]
  ] satisfies ReadonlyArray<readonly [string, (window: Window) => Window]>) {
    test(
      `when its fiber is ${title}`,
      { pending: 15, window: first(trouble, trouble) },
      Effect.gen(function* () {
        yield* Effect.repeatN(adjust("1 second"), 2)
        assert.deepStrictEqual(yield* Effect.replicateEffect(work, 15), keyRange(1, 15))
        yield* nothingToTake
      })
    )
  }

  let feeder: Fiber.RuntimeFiber<unknown, unknown> | undefined
  test(
    "when its fiber is interrupted while it waits",
    {
      window: (window) => (limit) =>
        Effect.withFiberRuntime((fiber) => {
          feeder = fiber
          return window(limit)
        })
    },
    Effect.gen(function* () {
      yield* nothingToTake
      const exit = yield* Effect.suspend(() => (feeder ? Fiber.interrupt(feeder) : Effect.die("no feeder")))
      assert.isTrue(Exit.isInterrupted(exit))
      yield* write(insert(1))
      yield* adjust("100 millis")
      assert.deepStrictEqual(yield* takeAll, [1])
    })
  )
})
