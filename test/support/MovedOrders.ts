import { Array as Arr, DateTime, Effect, Option } from "effect"
import { Command } from "../../src/store/Command.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { cancel, claim, completed, failed, insert, postponed, record, released, reopen } from "./RepoKit.ts"

const odd = () => [
  insert("A", { metadata: { a: "\u0000\ud800é", "": "'\"\\", n: 2 ** 53 - 1 }, currency: "EUR" }),
  insert("a", { total_amount: "99999999999.9999", item_ids: Arr.makeBy(1000, (item) => item + 1) }),
  insert("a-._:b", { total_amount: 0, metadata: {} }),
  insert("9007199254740991", { user_id: "9007199254740991", metadata: { long: "é".repeat(3000) } }),
  insert("00", { metadata: { a: [1, { b: null }] } }),
  insert("gone"),
  insert("again"),
  insert("cancelled")
]

/** Where the plain orders begin. */
const plainFrom = odd().length + 1

/**
 * Fills a repository, which is empty, with eight orders as odd as orders can be, one of which is pruned, and so many plain ones, of every
 * status.
 */
export const fill = (count: number) =>
  Effect.gen(function* () {
    const repo = yield* OrdersRepo
    const write = (commands: ReadonlyArray<Command>) =>
      Effect.forEach(
        Arr.chunksOf(commands, 1000),
        (chunk) => (Arr.isNonEmptyReadonlyArray(chunk) ? repo.write(chunk) : Effect.void),
        { discard: true }
      )
    const first = odd()
    yield* write(first)
    yield* write(first.map((_, index) => claim(index + 1)))
    yield* write([
      record(1, 1, completed(Option.some({ text: "\u0000\udfff", long: "x".repeat(100_000) })), 20, 15),
      record(2, 1, failed("no \u0000 stock é", "out_of_stock")),
      record(3, 1, failed("no", "é'\\code")),
      record(4, 1, postponed(60_000, "busy")),
      record(5, 1, released(1000)),
      record(6, 1, completed(), 0),
      record(7, 1, failed())
    ])
    yield* write([reopen("again", 'the "shop" é'), cancel("cancelled", "shop")])
    const [asOf, before] = [DateTime.unsafeMake(1_000_000), DateTime.unsafeMake(10)]
    yield* repo.write([Command.Prune({ asOf, before, limit: 10 })])

    const keys = Arr.makeBy(count, (index) => plainFrom + index)
    yield* write(keys.map((key) => insert(`order-${key}`, { user_id: (key % 97) + 1, metadata: { key } })))
    const claimed = keys.filter((key) => key % 10 !== 0)
    yield* write(claimed.map((key) => claim(key)))
    const ended = claimed.filter((key) => key % 10 !== 1)
    yield* write(
      ended.map((key) => record(key, 1, key % 10 === 2 ? failed("no", `code-${key % 7}`) : completed(), 100 + key, key))
    )
  })
