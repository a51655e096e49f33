import { assert, describe, it } from "@effect/vitest"
import { DateTime, Option } from "effect"
import { RowKey } from "../../src/order/OrderChange.ts"
import { type Breaker, BreakerEvent, closed, type Step, step, type Verdict } from "../../src/work/Breaker.ts"

const at = (seconds: number) => ({
  monotonic: seconds * 1000,
  wall: DateTime.unsafeMake(1_700_000_000_000 + seconds * 1000)
})

const ended = (key: number, verdict: Verdict, { delay = 0, probe }: { delay?: number; probe?: number } = {}) =>
  BreakerEvent.Ended({ key: RowKey(key), verdict, delay, code: Option.some("down"), probe: Option.fromNullable(probe) })
const tried = (key: number, probe: number) => BreakerEvent.Tried({ key: RowKey(key), probe })
const givenBack = (probe: number) => BreakerEvent.GivenBack({ probe })
const times = <A>(count: number, make: (index: number) => A) => Array.from({ length: count }, (_, index) => make(index))

/** The events, one a second from 0 on, and what the last of them led to. */
const outcome = (events: ReadonlyArray<BreakerEvent>): Step =>
  events.reduce<Step>((last, event, index) => step(last.breaker, event, () => at(index)), {
    breaker: closed,
    counts: false,
    notice: Option.none()
  })

const shown = (breaker: Breaker) =>
  breaker._tag === "Closed"
    ? `closed, ${breaker.streak.count} failed`
    : `open since ${breaker.openedAt.monotonic / 1000}, ${breaker.streak.count} failed, ` +
      (Option.isSome(breaker.probe) ? `probe ${breaker.probe.value}` : `due at ${breaker.due.monotonic / 1000}`)

const opened = times(10, (index) => ended(index, "unavailable"))

const table: ReadonlyArray<
  readonly [name: string, events: ReadonlyArray<BreakerEvent>, is: string, counts: boolean, notice?: string]
> = [
  ["nine failures", times(9, (index) => ended(index, "unavailable")), "closed, 9 failed", true],
  ["ten failures", opened, "open since 9, 10 failed, due at 10", true, "Opened"],
  ["ten of one order", times(10, () => ended(1, "unavailable")), "closed, 10 failed", true],
  [
    "ten of one order that got nowhere",
    times(10, () => ended(1, "unreachable")),
    "open since 9, 10 failed, due at 10",
    true,
    "Opened"
  ],
  [
    "one order after another's",
    [ended(2, "unavailable"), ...times(9, () => ended(1, "unavailable"))],
    "open since 9, 10 failed, due at 10",
    true,
    "Opened"
  ],
  [
    "one order, longer",
    [ended(2, "unavailable"), ...times(10, () => ended(1, "unavailable"))].slice(1),
    "closed, 10 failed",
    true
  ],
  ["an answer between", [...opened.slice(1), ended(1, "available"), ended(2, "unavailable")], "closed, 1 failed", true],
  ["timeouts only", times(20, (index) => ended(index, "unknown")), "closed, 0 failed", true],
  [
    "timeouts between",
    [...opened.slice(1), ended(1, "unknown"), ended(2, "unavailable")],
    "open since 10, 10 failed, due at 11",
    true,
    "Opened"
  ],
  [
    "a wish to be left alone",
    [...opened.slice(1), ended(1, "unavailable", { delay: 60_000 })],
    "open since 9, 10 failed, due at 69",
    true,
    "Opened"
  ],
  [
    "a wish beyond an hour",
    [...opened.slice(1), ended(1, "unavailable", { delay: 1e9 })],
    "open since 9, 10 failed, due at 3609",
    true,
    "Opened"
  ],
  [
    "an attempt begun before it opened fails",
    [...opened, ended(11, "unavailable")],
    "open since 9, 11 failed, due at 10",
    false
  ],
  [
    "an attempt begun before it opened succeeds",
    [...opened, ended(11, "available")],
    "closed, 0 failed",
    true,
    "Closed"
  ],
  ["a probe", [...opened, tried(1, 1)], "open since 9, 10 failed, probe 1", false],
  ["a probe given back", [...opened, tried(1, 1), givenBack(1)], "open since 9, 10 failed, due at 10", false],
  ["another probe given back", [...opened, tried(1, 2), givenBack(1)], "open since 9, 10 failed, probe 2", false],
  [
    "a probe fails",
    [...opened, tried(1, 1), ended(1, "unavailable", { probe: 1 })],
    "open since 9, 11 failed, due at 13",
    false,
    "StillOpen"
  ],
  [
    "a probe says nothing",
    [...opened, tried(1, 1), ended(1, "unknown", { probe: 1 })],
    "open since 9, 10 failed, due at 13",
    false,
    "StillOpen"
  ],
  [
    "a probe succeeds",
    [...opened, tried(1, 1), ended(1, "available", { probe: 1 })],
    "closed, 0 failed",
    true,
    "Closed"
  ],
  [
    "a probe of an earlier opening fails",
    [...opened, tried(1, 2), ended(1, "unavailable", { probe: 1 })],
    "open since 9, 11 failed, probe 2",
    false
  ],
  [
    "a probe fails after the breaker closed",
    [...opened, tried(1, 1), ended(2, "available"), ended(1, "unavailable", { probe: 1 })],
    "closed, 1 failed",
    false
  ],
  [
    "probes of one order, nine times more",
    [...opened, ...times(9, (index) => [tried(9, index), ended(9, "unavailable", { probe: index })]).flat()],
    "closed, 19 failed",
    false,
    "Closed"
  ]
]

describe("The breaker", () => {
  for (const [name, events, is, counts, notice] of table) {
    it(`${name}: ${is}`, () => {
      const { breaker, ...last } = outcome(events)
      assert.strictEqual(shown(breaker), is)
      assert.strictEqual(last.counts, counts)
      assert.strictEqual(Option.getOrUndefined(last.notice)?._tag, notice)
    })
  }

  it("waits twice as long for each next probe, thirty seconds at most", () => {
    let { breaker } = outcome(opened)
    const waits: Array<number> = []
    for (let probe = 1; probe < 9 && breaker._tag === "Open"; probe++) {
      const now = breaker.due
      waits.push(now.monotonic - waits.reduce((sum, wait) => sum + wait, 9000))
      breaker = step(breaker, tried(probe % 3, probe), () => now).breaker
      breaker = step(breaker, ended(probe % 3, "unreachable", { probe }), () => now).breaker
    }
    assert.deepStrictEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  })
})
