import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import {
  Array as Arr,
  Cause,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberId,
  HashMap,
  Layer,
  Logger,
  LogLevel,
  Option,
  Scope
} from "effect"
import type { AppConfig } from "../../src/AppConfig.ts"
import { OrderId, StorageUnavailable } from "../../src/order/Order.ts"
import { Command, type Commit, Result } from "../../src/store/Command.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { adjust, jumping } from "../support/JumpingClock.ts"
import { anInsert, config, memoryRepo, sqlRepo } from "../support/TestLayers.ts"
import { turns } from "../support/Until.ts"

type Write = Context.Tag.Service<OrdersRepo>["write"]

/** The in-memory repository, with something done to its writes. */
const repoWith = (change: (write: Write) => Write) =>
  Layer.effect(
    OrdersRepo,
    Effect.map(OrdersRepo, (repo) => ({ ...repo, write: change(repo.write) }))
  ).pipe(Layer.provide(memoryRepo))

const committing = <A, E>(repo: Layer.Layer<OrdersRepo | A, E, AppConfig>) =>
  GroupCommit.layer.pipe(Layer.provideMerge(OrderEvents.layer), Layer.provideMerge(repo), Layer.provideMerge(config()))

/** Runs the body with a GroupCommit over the in-memory repository, with something done to its writes. */
const test = <E>(
  title: string,
  change: (write: Write) => Write,
  body: Effect.Effect<void, E, GroupCommit | OrderEvents | OrdersRepo | Scope.Scope>
) => it.scoped(title, () => body.pipe(Effect.provide(committing(repoWith(change))), jumping))

const insert = anInsert
const write = (command: Command) => Effect.flatMap(GroupCommit, (commits) => commits.write(command))
const settle = (command: Command) => Effect.flatMap(GroupCommit, (commits) => commits.settle(command))
const ready = Effect.flatMap(GroupCommit, (commits) => commits.ready)
const isStored = (id: number | string) =>
  Effect.flatMap(OrdersRepo, (repo) => Effect.map(repo.find(OrderId.make(String(id))), Option.isSome))
const storedCount = Effect.flatMap(OrdersRepo, (repo) => Effect.map(repo.totals, ({ Pending }) => Pending))

/** Writes at the same time, and what came of each. */
const writeAll = (ids: ReadonlyArray<number | string>) =>
  Effect.forEach(ids, (id) => Effect.exit(write(insert(id))), { concurrency: "unbounded" })

const unavailable = Exit.fail(new StorageUnavailable({}))
const inserted = Exit.succeed(Result.Inserted())

/** What was told of, commit by commit, by order id. */
const told = Effect.gen(function* () {
  const log: Array<ReadonlyArray<string>> = []
  const events = yield* OrderEvents
  yield* events.listen(({ changes }: Commit) => {
    log.push(changes.map(({ order_id }) => order_id))
  })
  return log
})

/** The first writes go as the given ones say, later ones as they should. */
const first =
  (...troubles: ReadonlyArray<(write: Write) => Write>) =>
  (write: Write): Write => {
    let count = 0
    return (commands) => (troubles[count++]?.(write) ?? write)(commands)
  }
const fails = (): Write => () => new StorageUnavailable({})
/** Interrupts the fiber it runs in, as soon as that may be interrupted. */
const interruptSelf = Effect.zipRight(
  Effect.withFiberRuntime<void>((fiber) => Fiber.interruptFork(fiber)),
  Effect.yieldNow()
)

describe("batches", () => {
  const batches: Array<number> = []
  test(
    "the commands of many fibers become few transactions, and each gets its own answer",
    (write) => (commands) => {
      batches.push(commands.length)
      return write(commands)
    },
    Effect.gen(function* () {
      const ids = Arr.range(1, 1250)
      const answers = yield* Effect.forEach([...ids, ...ids], (id) => write(insert(id)), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        answers.map((answer) => (answer._tag === "Known" ? Number(answer.order.order_id) : answer._tag)),
        [...ids.map(() => "Inserted"), ...ids]
      )
      assert.strictEqual(
        batches.reduce((sum, size) => sum + size, 0),
        2500
      )
      assert.isAtMost(Math.max(...batches), 1000)
      assert.isAtMost(batches.length, 10)
    })
  )

  const weights: Array<number> = []
  test(
    "take no more at once than a statement may have, but one command of any size",
    (write) => (commands) => {
      weights.push(commands.length)
      return write(commands)
    },
    Effect.gen(function* () {
      const { writeAll } = yield* GroupCommit
      const large = (id: number) => insert(id, { metadata: { text: "x".repeat(8000) } })
      yield* writeAll(Arr.range(1, 900).map(large))
      assert.strictEqual(yield* storedCount, 900)
      assert.isAtLeast(weights.length, 2)
      assert.isAtMost(Math.max(...weights) * 8000, 4 * 1024 * 1024)
    })
  )

  const latch = Deferred.unsafeMake<void>(FiberId.none)
  test(
    "nobody is answered before the commit",
    (write) => (commands) => Effect.zipRight(Deferred.await(latch), write(commands)),
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(writeAll([1, 2, 1]))
      yield* turns
      assert.isNull(fiber.unsafePoll())
      yield* Deferred.succeed(latch, undefined)
      const [one, two, again] = yield* Fiber.join(fiber)
      assert.deepStrictEqual([one, two], [inserted, inserted])
      assert.isTrue(again !== undefined && Exit.isSuccess(again) && again.value._tag === "Known")
    })
  )

  test(
    "a commit is told of once, before anyone is answered, and a batch that changes nothing is not",
    (write) => write,
    Effect.gen(function* () {
      const log = yield* told
      yield* Effect.forEach([1, 2, 3], (id) => Effect.map(write(insert(id)), () => log.push(["answered"])), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(log, [["1", "2", "3"], ["answered"], ["answered"], ["answered"]])
      yield* write(insert(1))
      yield* write(Command.Probe())
      assert.lengthOf(log, 4)
    })
  )
})

describe("a command that cannot be written", () => {
  const expectNeighboursUnharmed = Effect.gen(function* () {
    const log = yield* told
    const exits = yield* writeAll([1, 2, "bad", 3, 4])
    const [bad] = exits.splice(2, 1)
    assert.deepStrictEqual(exits, [inserted, inserted, inserted, inserted])
    assert.isTrue(bad !== undefined && Exit.isFailure(bad) && Cause.isDie(bad.cause))
    assert.deepStrictEqual(log.flat(), ["1", "2", "3", "4"])
    assert.isFalse(yield* isStored("bad"))
    assert.strictEqual(yield* storedCount, 4)
    assert.isTrue(yield* ready)
    assert.deepStrictEqual(yield* writeAll([5]), [inserted])
  })

  test(
    "fails alone",
    (write) => (commands) =>
      commands.some((command) => command._tag === "Insert" && command.order.order_id === "bad")
        ? Effect.die("broken constraint")
        : write(commands),
    expectNeighboursUnharmed
  )

  it.scoped("fails alone in a real database", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        CREATE TRIGGER no_bad BEFORE INSERT ON orders WHEN new.order_id = 'bad'
        BEGIN SELECT RAISE(ABORT, 'broken constraint'); END`
      yield* expectNeighboursUnharmed
    }).pipe(Effect.provide(committing(sqlRepo)))
  )
})

describe("a storage that fails", () => {
  let down = false
  test(
    "fails the batch; the next one succeeds, and it is found out that it can",
    (write) => (commands) => (down ? new StorageUnavailable({}) : write(commands)),
    Effect.gen(function* () {
      assert.isTrue(yield* ready)
      down = true
      const log = yield* told
      assert.deepStrictEqual(yield* writeAll([1, 2]), [unavailable, unavailable])
      assert.isFalse(yield* ready)
      assert.isFalse(yield* ready)
      assert.deepStrictEqual(log, [])
      down = false
      assert.isTrue(yield* ready)
      assert.deepStrictEqual(yield* writeAll([1, 2]), [inserted, inserted])
    })
  )

  test(
    "does not keep `settle` from succeeding in the end",
    first(fails, fails, fails),
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(settle(insert(1)))
      yield* turns
      assert.isNull(fiber.unsafePoll())
      yield* Effect.repeatN(adjust("2 seconds"), 3)
      assert.deepStrictEqual(yield* Fiber.join(fiber), Result.Inserted())
    })
  )

  const latch = Deferred.unsafeMake<void>(FiberId.none)
  test(
    "and does not answer keeps nobody waiting for more than 10 seconds, but for `settle`",
    first((write) => (commands) => Effect.zipRight(Deferred.await(latch), write(commands))),
    Effect.gen(function* () {
      const held = yield* Effect.fork(write(insert(1)))
      yield* turns
      const behind = yield* Effect.fork(write(insert(2)))
      const settling = yield* Effect.fork(settle(insert(3)))
      yield* turns
      yield* adjust("9900 millis")
      assert.deepStrictEqual([held.unsafePoll(), behind.unsafePoll()], [null, null])
      yield* adjust("500 millis")
      assert.deepStrictEqual([yield* Fiber.await(held), yield* Fiber.await(behind)], [unavailable, unavailable])
      const readiness = yield* Effect.fork(ready)
      yield* adjust("11 seconds")
      assert.isFalse(yield* Fiber.join(readiness))
      assert.isNull(settling.unsafePoll())

      yield* Deferred.succeed(latch, undefined)
      assert.deepStrictEqual(yield* Fiber.join(settling), Result.Inserted())
      assert.strictEqual((yield* write(insert(1)))._tag, "Known")
      assert.isTrue(yield* ready)
    })
  )
})

describe("a database that has no room", () => {
  /** What is logged, as "LEVEL what", and whatever else is told with it. */
  const logged: Array<{ readonly line: string; readonly leftOut: unknown }> = []
  const capturing = Layer.merge(
    Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ annotations, logLevel, message }) => {
        const line = `${logLevel.label} ${String(message).replace(/:.*/, "")}`
        logged.push({ line, leftOut: Option.getOrUndefined(HashMap.get(annotations, "left_out")) })
      })
    ),
    Logger.minimumLogLevel(LogLevel.Info)
  )
  const linesSince = (from: number) => logged.slice(from).map(({ line }) => line)
  const layer = GroupCommit.layer.pipe(
    Layer.provideMerge(OrderEvents.layer),
    Layer.provideMerge(sqlRepo),
    Layer.provideMerge(capturing),
    Layer.provideMerge(config())
  )

  /** Orders that need pages of their own, until one is refused. */
  const fillUp = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // No less than it has now.
    yield* sql`PRAGMA max_page_count = 1`
    let id = 1000
    yield* Effect.iterate(true, {
      while: (fits) => fits,
      body: () => Effect.isSuccess(write(insert(id++, { metadata: { text: "x".repeat(8000) } })))
    })
  })
  const makeRoom = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`PRAGMA max_page_count = 1000000`)

  it.scoped("is not ready until there is room for any order, though little things are written", () =>
    Effect.gen(function* () {
      yield* Effect.forEach(Arr.range(1, 5), (id) => write(insert(id)))
      assert.isTrue(yield* ready)
      yield* fillUp
      for (const id of Arr.range(1, 5)) {
        assert.isFalse(yield* ready)
        const result = yield* write(Command.Cancel({ order_id: OrderId.make(String(id)), by: Option.none() }))
        assert.deepInclude(result, { _tag: "Acted", changed: true })
      }
      assert.isFalse(yield* ready)
      yield* makeRoom
      // Nobody asks: the next order finds it out.
      yield* write(insert(6))
      yield* turns
      assert.strictEqual(linesSince(0).at(-1), "INFO Orders are written again")
      assert.isTrue(yield* ready)
    }).pipe(Effect.provide(layer), jumping)
  )

  it.scoped("is found out a while after the last write, by asking", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* write(insert(1))
      yield* sql`PRAGMA max_page_count = 1`
      assert.isTrue(yield* ready)
      yield* adjust("6 seconds")
      assert.isFalse(yield* ready)
    }).pipe(Effect.provide(layer), jumping)
  )

  it.scoped("is told in a line of each state a minute, with how many were left out, and the last one is true", () =>
    Effect.gen(function* () {
      yield* fillUp
      const from = logged.length - 2
      const [full, cannot, again] = [
        "WARN Storage unavailable",
        "ERROR Orders cannot be written",
        "INFO Orders are written again"
      ]
      assert.deepStrictEqual(linesSince(from), [full, cannot])
      for (let second = 0; second < 50; second++) {
        assert.isFalse(yield* ready)
        yield* adjust("1 second")
      }
      assert.deepStrictEqual(linesSince(from), [full, cannot])
      yield* makeRoom
      assert.isTrue(yield* ready)
      yield* fillUp
      yield* makeRoom
      assert.isTrue(yield* ready)
      assert.deepStrictEqual(linesSince(from), [full, cannot, again])
      yield* fillUp
      yield* adjust("11 seconds")
      assert.deepStrictEqual(linesSince(from), [full, cannot, again, cannot])
      const large = insert("large", { metadata: { text: "x".repeat(8000) } })
      assert.deepStrictEqual(yield* Effect.exit(write(large)), unavailable)
      assert.deepStrictEqual(linesSince(from + 4), [full])
      assert.isAbove(Number(logged.at(-1)?.leftOut), 50)
    }).pipe(Effect.provide(layer), jumping)
  )
})

describe("the line of what waits for its transaction", () => {
  const latch = Deferred.unsafeMake<void>(FiberId.none)
  test(
    "is left by what was answered: only what was in the running transaction may be stored after all",
    first((write) => (commands) => Effect.zipRight(Deferred.await(latch), write(commands))),
    Effect.gen(function* () {
      const held = yield* Effect.fork(write(insert(1)))
      yield* turns
      const behind = yield* Effect.fork(writeAll([2, 3]))
      const settling = yield* Effect.fork(settle(insert(4)))
      yield* turns
      yield* adjust("11 seconds")
      assert.deepStrictEqual(yield* Fiber.await(held), unavailable)
      assert.deepStrictEqual(yield* Fiber.join(behind), [unavailable, unavailable])
      const young = yield* Effect.fork(write(insert(5)))
      yield* turns
      yield* Deferred.succeed(latch, undefined)
      assert.deepStrictEqual(yield* Fiber.join(settling), Result.Inserted())
      assert.deepStrictEqual(yield* Fiber.await(young), inserted)
      assert.deepStrictEqual(yield* Effect.forEach([1, 2, 3, 4, 5], isStored), [true, false, false, true, true])
    })
  )

  /** How many of so many commands find room behind a transaction that does not end; the rest are answered at once. */
  const roomFor = (command: Command, count: number, end: Deferred.Deferred<void>) =>
    Effect.gen(function* () {
      const commits = yield* GroupCommit
      yield* Effect.fork(write(insert("held")))
      yield* turns
      const waiting = yield* Effect.forEach(Arr.range(1, count), () => Effect.fork(write(command)))
      yield* turns
      const refused = waiting.filter((fiber) => fiber.unsafePoll() !== null)
      const room = waiting.length - refused.length
      for (const fiber of refused) assert.deepStrictEqual(yield* Fiber.await(fiber), unavailable)
      assert.isNull(waiting[room - 1]?.unsafePoll())
      assert.deepStrictEqual(yield* Effect.exit(commits.writeAll([command])), unavailable)
      // What must not be lost always finds room.
      const settling = yield* Effect.fork(settle(insert("settled")))
      yield* turns
      assert.isNull(settling.unsafePoll())
      yield* adjust("11 seconds")
      const young = yield* Effect.fork(write(insert("young")))
      yield* turns
      assert.isNull(young.unsafePoll())
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(settling)
      return room
    })

  for (const [title, command, least, most] of [
    ["in number", Command.Probe(), 10_000, 10_000],
    ["in what it holds, be it long texts", anInsert(1, { metadata: { text: "x".repeat(8000) } }), 1000, 9000],
    [
      "in what it holds, be it small parts",
      anInsert(1, { metadata: { parts: Arr.makeBy(2000, () => ({})) } }),
      100,
      999
    ]
  ] as const) {
    const end = Deferred.unsafeMake<void>(FiberId.none)
    test(
      `is bounded ${title}`,
      first((write) => (commands) => Effect.zipRight(Deferred.await(end), write(commands))),
      Effect.map(roomFor(command, most + 100, end), (room) =>
        assert.isTrue(room >= least && room <= most, String(room))
      )
    )
  }

  test(
    "takes any number of commands that belong together when nothing else waits",
    (write) => write,
    Effect.gen(function* () {
      const commits = yield* GroupCommit
      const results = yield* commits.writeAll(Arr.makeBy(20_000, () => Command.Probe()))
      assert.strictEqual(results.length, 20_000)
    })
  )
})

describe("a commit fiber that ends", () => {
  /** The callers of the writes in trouble are answered, and later ones are served. */
  const expectHealing = (expected: (exit: Exit.Exit<Result, StorageUnavailable>) => boolean) =>
    Effect.gen(function* () {
      const exits = yield* Effect.fork(writeAll([1, 2, 3]))
      yield* turns
      const answers = yield* Effect.fromNullable(exits.unsafePoll()).pipe(Effect.flatten)
      assert.isTrue(answers.every(expected), String(answers))
      const next = yield* Effect.fork(writeAll([4, 5]))
      yield* adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(next), [inserted, inserted])
      assert.isTrue(yield* ready)
    })
  const isDefect = (exit: Exit.Exit<Result, StorageUnavailable>) => Exit.isFailure(exit) && Cause.isDie(exit.cause)
  /** An interruption may come too late to keep something from being written. */
  const isAnswer = (exit: Exit.Exit<Result, StorageUnavailable>) => Exit.isSuccess(exit) || Cause.isFailure(exit.cause)

  test(
    "by an interruption before it writes is started again",
    first((write) => (commands) => Effect.zipRight(interruptSelf, write(commands))),
    expectHealing(isAnswer)
  )
  test(
    "by an interruption while it writes is started again",
    first(() => () => Effect.interruptible(Effect.zipRight(interruptSelf, Effect.never))),
    expectHealing((exit) => Exit.isFailure(exit) && Cause.isFailure(exit.cause))
  )
  test(
    "by an interruption after it wrote is started again, and what was stored is known and was told of",
    first((write) => (commands) => Effect.tap(write(commands), () => interruptSelf)),
    Effect.gen(function* () {
      const log = yield* told
      yield* expectHealing(isAnswer)
      assert.strictEqual((yield* write(insert(1)))._tag, "Known")
      assert.deepStrictEqual(log.flat(), ["1", "2", "3", "4", "5"])
    })
  )
  test(
    "by an interruption from inside is started again",
    first(() => () => Effect.interrupt),
    expectHealing((exit) => Exit.isFailure(exit) && Cause.isFailure(exit.cause))
  )
  test(
    "by defects is started again",
    first(...Arr.makeBy(4, () => (): Write => () => Effect.die("defect"))),
    expectHealing(isDefect)
  )
  test(
    "by a repository that throws is started again",
    first(
      ...Arr.makeBy(
        4,
        () => (): Write => () => {
          throw new Error("defect")
        }
      )
    ),
    expectHealing(Exit.isFailure)
  )

  for (const [title, killFirst] of [
    ["just before a command arrives", true],
    ["just after a command arrived", false]
  ] as const) {
    let commitFiber: Fiber.RuntimeFiber<unknown, unknown> | undefined
    test(
      `while it waits, ${title}, loses no command`,
      (write) => (commands) =>
        Effect.withFiberRuntime((fiber) => {
          commitFiber = fiber
          return write(commands)
        }),
      Effect.gen(function* () {
        yield* write(Command.Probe())
        yield* turns
        const kill = Effect.suspend(() => (commitFiber ? Fiber.interruptFork(commitFiber) : Effect.die("no fiber")))
        const commits = yield* GroupCommit
        if (killFirst) yield* kill
        const settling = yield* Effect.fork(commits.settle(insert(1)))
        yield* Effect.yieldNow()
        if (!killFirst) yield* kill
        yield* turns
        yield* Effect.repeatN(adjust("1 second"), 3)
        assert.deepStrictEqual(settling.unsafePoll(), Exit.succeed(Result.Inserted()))
      })
    )
  }
})

describe("closing", () => {
  for (const yields of [0, 1, 2, 5, 20]) {
    it.scoped(`writes what has arrived, ${yields} steps before`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const commits = yield* Layer.buildWithScope(GroupCommit.layer, scope).pipe(Effect.map(Context.get(GroupCommit)))
        yield* turns
        const writing = yield* Effect.forEach([1, 2, 3], (id) => Effect.fork(commits.write(insert(id))))
        yield* Effect.yieldNow()
        yield* Effect.repeatN(Effect.yieldNow(), yields)
        yield* Scope.close(scope, Exit.void)
        yield* turns
        assert.deepStrictEqual(
          writing.map((fiber) => fiber.unsafePoll()),
          [inserted, inserted, inserted]
        )
        assert.strictEqual(yield* storedCount, 3)
      }).pipe(Effect.provide(OrderEvents.layer.pipe(Layer.provideMerge(memoryRepo), Layer.provideMerge(config()))))
    )
  }

  const latch = Deferred.unsafeMake<void>(FiberId.none)
  it.scoped("writes what arrived during the last write", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const commits = yield* Layer.buildWithScope(GroupCommit.layer, scope).pipe(Effect.map(Context.get(GroupCommit)))
      const held = yield* Effect.fork(commits.write(insert(1)))
      yield* turns
      const behind = yield* Effect.forEach([2, 3], (id) => Effect.fork(commits.write(insert(id))))
      yield* turns
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* turns
      yield* Deferred.succeed(latch, undefined)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(
        [...behind, held].map((fiber) => fiber.unsafePoll()),
        [inserted, inserted, inserted]
      )
    }).pipe(
      Effect.provide(
        OrderEvents.layer.pipe(
          Layer.provideMerge(
            repoWith(
              first(
                (write) => (commands) => Effect.uninterruptible(Effect.zipRight(Deferred.await(latch), write(commands)))
              )
            )
          ),
          Layer.provideMerge(config())
        )
      )
    )
  )
})
