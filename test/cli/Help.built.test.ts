import { execFile } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { completions } from "../../src/cli/Completions.ts"
import { helpWidth } from "../../src/cli/Help.ts"
import { pages } from "../../src/cli/Pages.ts"
import { command } from "../support/CliCommand.ts"
import { cli } from "../support/CliProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

const execute = promisify(execFile)

const isNarrow = (help: string) => {
  for (const line of help.split("\n")) assert.isAtMost(line.length, helpWidth, line)
}

describe("the help of orders", { timeout: 300_000 }, () => {
  it.live("lists every command, with examples, environment and exit codes, without colours in a pipe", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* cli(["--help"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      isNarrow(stdout)
      assert.isFalse(stdout.includes("\x1b"))
      for (const { manual, name } of pages) assert.include(stdout, `\n  ${name.padEnd(8)}  ${manual.about}\n`)
      for (const title of ["USAGE", "ORDERS", "EXAMPLES", "ENVIRONMENT", "EXIT CODES"]) {
        assert.include(stdout, `\n${title}\n`)
      }
      for (const args of [[], ["-h"], ["help"]]) assert.strictEqual((yield* command(args)).stdout, stdout)
      assert.strictEqual((yield* cli(["--version"])).stdout, `${packageJson.version}\n`)
    })
  )

  for (const { args, name, options } of pages.map(({ manual, name }) => ({ ...manual, name }))) {
    it.live(`shows all that ${name} takes`, () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* command([name, "--help"])
        assert.deepStrictEqual([code, stderr], [0, ""])
        isNarrow(stdout)
        assert.match(stdout, new RegExp(`\\nUSAGE\\n  orders ${name} `))
        for (const title of ["OPTIONS", "EXAMPLES", "EXIT CODES"]) assert.include(stdout, `\n${title}\n`)
        const [, listed = ""] = stdout.split("\nOPTIONS\n")
        for (const { about, choices, names, value } of options) {
          assert.notStrictEqual(about, "", `${name} ${names}`)
          for (const option of names) assert.match(listed, new RegExp(`^ {2}.*${option}( |\\n|,)`, "m"))
          if (value !== null && choices.length === 0) assert.include(listed, `<${value}>`)
          for (const choice of choices) assert.include(listed, choice)
        }
        assert.notMatch(listed, /<(text|integer|float)>/)
        for (const { about, names } of args) {
          assert.notStrictEqual(about, "", `${name} ${names}`)
          assert.include(stdout, `${names[0]}`)
        }
        if (name !== "serve") assert.strictEqual((yield* command(["help", name])).stdout, stdout)
      })
    )
  }

  it("says what is taken where an option is not given", () => {
    const aboutOf = (of: string, option: string) =>
      pages.find(({ name }) => name === of)?.manual.options.find(({ names }) => names.includes(option))?.about
    for (const { name, manual } of pages) {
      if (manual.options.some(({ names }) => names.includes("--url"))) {
        assert.match(aboutOf(name, "--url") ?? "", /\[default: http:\/\/127\.0\.0\.1:3000\]$/)
      }
    }
    assert.match(aboutOf("list", "--limit") ?? "", /\[default: 50\]$/)
    assert.match(aboutOf("retry", "--status") ?? "", /\[default: Failed\]$/)
    assert.match(aboutOf("simulate", "--orders") ?? "", /\[default: 1000\]$/)
    assert.match(aboutOf("simulate", "--patience") ?? "", /\[default: 2 minutes\]$/)
  })
})

/** What bash offers for the last of the words, with the script that the built command prints. */
const offered = (script: string, folder: string, words: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const program = `
      source ${script}
      COMP_WORDS=("$@")
      COMP_CWORD=$(($# - 1))
      $(complete -p orders | sed 's/.*-F \\([^ ]*\\).*/\\1/')
      printf '%s\\n' "\${COMPREPLY[@]}"
    `
    const { stdout } = await execute("bash", ["--norc", "-c", program, "bash", ...words], { cwd: folder })
    return stdout.split("\n").filter((word) => word !== "")
  })

describe("completions", { timeout: 300_000 }, () => {
  it.scopedLive("in bash: commands, options, one of the values there are, and files", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const script = Path.join(folder, "orders.bash")
      const { code, stdout } = yield* cli(["--completions", "bash"])
      assert.strictEqual(code, 0)
      yield* Effect.promise(() => Fs.writeFile(script, stdout))
      yield* Effect.promise(() => Fs.writeFile(Path.join(folder, "some orders.ndjson"), ""))
      const complete = (...words: ReadonlyArray<string>) => offered(script, folder, ["orders", ...words])

      assert.includeMembers([...(yield* complete(""))], [...pages.map(({ name }) => name), "--version"])
      assert.deepStrictEqual(yield* complete("s"), ["submit", "serve", "simulate"])
      const statuses = ["Pending", "Processing", "Completed", "Failed", "Cancelled"]
      assert.deepStrictEqual(yield* complete("list", "--status", ""), statuses)
      assert.deepStrictEqual(yield* complete("list", "--all", "--status", "P"), ["Pending", "Processing"])
      // Readline takes --status=P apart.
      assert.deepStrictEqual(yield* complete("list", "--status", "=", "P"), ["Pending", "Processing"])
      assert.deepStrictEqual(yield* complete("watch", "--status", "="), statuses)
      assert.deepStrictEqual(yield* complete("retry", "--status", ""), ["Failed", "Cancelled"])
      assert.deepStrictEqual(yield* complete("retry", "--y"), ["--yes"])
      assert.deepStrictEqual(yield* complete("list", "--acc"), ["--accepted-after", "--accepted-before"])
      assert.deepStrictEqual(yield* complete("list", "--user-id", ""), [])
      assert.deepStrictEqual(yield* complete("submit", "--file", "some"), ["some orders.ndjson"])
      assert.deepStrictEqual(yield* complete("--completions", ""), ["bash", "zsh", "fish"])
      for (const { manual, name } of pages) {
        const words = yield* complete(name, "-")
        assert.includeMembers([...words], [...manual.options.flatMap(({ names }) => names), "--help"])
      }
    })
  )

  it("in zsh and fish: a value for each status", () => {
    assert.include(completions.get("zsh")?.(pages), ":(Pending Processing Completed Failed Cancelled)'")
    assert.include(completions.get("fish")?.(pages), "-a 'Pending Processing Completed Failed Cancelled'")
  })
})
