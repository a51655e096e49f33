import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Option } from "effect"
import type { Command } from "../../src/store/Command.ts"
import { makeCommitLine } from "../../src/store/CommitLine.ts"
import { completed, insert, record } from "../support/RepoKit.ts"

/** What a MariaDB server takes as one statement. */
const packet = 16 * 1024 * 1024

/** More than the names and the short values of a command take in a statement. */
const rest = 1024

/** The text of a value in a statement: JSON in JSON. */
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(JSON.stringify(value)))

describe("A batch of commands", () => {
  const fits = (title: string, command: Command, bytes: number) =>
    it(`of ${title} fits into a statement`, () => {
      const line = makeCommitLine()
      for (let count = 0; count < 1000; count++) line.join(command, 0, () => {})
      const taken = line.take(1000)
      assert.isAbove(taken.length, 1)
      assert.isBelow(taken.length * (bytes + rest), packet)
    })

  // As long as they may be.
  const result = "\u0000".repeat(10_922)
  fits("results that are escaped", record(1, 1, completed(Option.some(result))), bytesOf(result))
  const names = { ['"'.repeat(4090)]: 1 }
  fits("metadata with long names", insert(1, { metadata: names }), bytesOf(names) + 2 * rest)
  const surrogates = "\ud800".repeat(1360)
  fits("metadata that is escaped", insert(1, { metadata: { surrogates } }), bytesOf({ surrogates }))
  const item_ids = Arr.makeBy(1000, (index) => `${index}`.padEnd(60, "x"))
  fits("many items", insert(1, { item_ids }), bytesOf(item_ids))
})
