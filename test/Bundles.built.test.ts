import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"

interface Meta {
  readonly outputs: Readonly<
    Record<
      string,
      {
        readonly inputs: Readonly<Record<string, unknown>>
        readonly imports: ReadonlyArray<{ readonly path: string; readonly kind: string }>
      }
    >
  >
}

describe("the built", () => {
  for (const { name, program, without } of [
    {
      name: "command line loads what a server needs only where one is named",
      program: "dist/cli.js",
      without: /node_modules\/(pg|better-sqlite3|@effect\/sql-)|src\/store\/(sqlite|postgres)\/.*(Move|SetUp|Driver)/
    },
    {
      name: "service loads drivers of servers, and the page of its documents, only where they are used",
      program: "dist/main.js",
      without: /node_modules\/(pg|mysql2|pg-boss)\/|httpApiSwagger|src\/store\/(postgres|mariadb)\//
    }
  ]) {
    it(name, () => {
      const { outputs }: Meta = JSON.parse(Fs.readFileSync("dist/meta/programs.json", "utf8"))
      const loadedWith = (name: string, seen = new Set<string>()): ReadonlySet<string> => {
        if (seen.has(name)) return seen
        seen.add(name)
        for (const { kind, path } of outputs[name]?.imports ?? []) {
          if (kind !== "dynamic-import") loadedWith(path, seen)
        }
        return seen
      }
      const inputs = [...loadedWith(program)].flatMap((name) => Object.keys(outputs[name]?.inputs ?? {}))
      assert.isAbove(inputs.length, 100)
      assert.deepStrictEqual(
        inputs.filter((input) => without.test(input)),
        []
      )
    })
  }
})
