import { Effect, Option } from "effect"
import { Command, Result } from "../../../src/store/Command.ts"
import { find, insert, same, totals, write } from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const probes = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "probes without changing anything",
    Effect.gen(function* () {
      yield* write(insert(1))
      const before = [yield* find(1), yield* totals]
      same(yield* write(Command.Probe(), Command.Probe()), {
        results: [Result.Probed(), Result.Probed()],
        commit: Option.none()
      })
      same([yield* find(1), yield* totals], before)
      const { commit } = yield* write(insert(2), Command.Probe())
      same(
        Option.map(commit, (commit) => commit.totals),
        Option.some(yield* totals)
      )
    })
  )
}
