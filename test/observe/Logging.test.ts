import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, LogLevel } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { keepRunning } from "../../src/KeepRunning.ts"
import { LoggingLive } from "../../src/observe/Logging.ts"
import { adjust, jumping } from "../support/JumpingClock.ts"

/** What is printed meanwhile, in that format. */
const printed = (logFormat: "json" | "logfmt" | "pretty", log: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const console = yield* Effect.console
    yield* Effect.provide(
      log,
      Layer.provide(LoggingLive, AppConfig.layerTest({ logFormat, logLevel: LogLevel.Info }))
    ).pipe(
      Effect.withConsole({
        ...console,
        unsafe: { ...console.unsafe, log: (...parts: ReadonlyArray<string>) => void lines.push(parts.join(" ")) }
      })
    )
    return lines
  })

class Refused extends Error {}

describe("the log", () => {
  it.effect("is one line of JSON each, with what it is about, the span, and why something failed", () =>
    Effect.gen(function* () {
      const [info, failure, defect, ...others] = (yield* printed(
        "json",
        Effect.gen(function* () {
          yield* Effect.log("one", { two: 2 }, "three\nfour").pipe(
            Effect.annotateLogs({ order_id: "a", run: 1 }),
            Effect.withSpan("span")
          )
          yield* Effect.sandbox(Effect.fail(new Refused("no"))).pipe(
            Effect.catchAll((cause) => Effect.logError("failed", cause))
          )
          yield* Effect.sandbox(Effect.die(new Error("oh"))).pipe(
            Effect.catchAll((cause) => Effect.logError("broke", cause))
          )
          yield* Effect.logDebug("not shown")
        })
      )).map((line) => JSON.parse(line))
      assert.deepStrictEqual(others, [])
      const { span_id, trace_id, ...rest } = info
      assert.match(trace_id, /^[0-9a-f]{32}$/)
      assert.match(span_id, /^[0-9a-f]{16}$/)
      assert.deepStrictEqual(rest, {
        time: "1970-01-01T00:00:00.000Z",
        level: "INFO",
        message: 'one {"two":2} three\nfour',
        order_id: "a",
        run: 1
      })
      assert.strictEqual(failure.error, "no")
      assert.match(defect.error, /^Error: oh\n\s+at /)
    })
  )

  it.effect("has the same fields in logfmt", () =>
    Effect.gen(function* () {
      const lines = yield* printed(
        "logfmt",
        Effect.annotateLogs(Effect.logWarning("two words\nand a line"), { order_id: "a", note: "", ms: 3 })
      )
      assert.strictEqual(lines.length, 1)
      const [line = ""] = lines
      assert.match(line, /^time=1970-01-01T00:00:00.000Z level=WARN message="two words\\nand a line" /)
      for (const field of ["order_id=a", 'note=""', "ms=3"]) assert.include(line.split(" "), field)
    })
  )

  const evil = "a\u001b[2J\u0007\u007f\u009b31m\u202e\u2028\u200b\u{e0041}\nlevel=INFO\r\tb"
  for (const format of ["json", "logfmt", "pretty"] as const) {
    it.effect(`steers no terminal by what it tells from outside, and begins no line by it, in ${format}`, () =>
      Effect.gen(function* () {
        const lines = yield* printed(
          format,
          Effect.sandbox(Effect.fail(new Refused(evil))).pipe(
            Effect.catchAll((cause) => Effect.logError(`of ${evil}`, { evil }, cause)),
            Effect.annotateLogs({ error_code: evil, bare: "a\u001b[2J\u009b", list: [evil], run: 1 })
          )
        )
        // A stack has lines of its own.
        const shown = lines.join("").replaceAll("\n", "")
        assert.notMatch(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
        assert.include(shown, "\\u009b31m\\u202e\\u2028\\u200b")
        if (format === "pretty") return
        assert.lengthOf(lines, 1)
        if (format === "logfmt") return assert.include(shown, 'bare="a\\u001b[2J\\u009b"')
        assert.deepInclude(JSON.parse(shown), { error_code: evil, error: evil, list: [evil], run: 1 })
      })
    )
  }

  it.effect("of a loop that keeps ending is a line a minute", () =>
    Effect.gen(function* () {
      const lines = yield* printed(
        "json",
        Effect.scoped(Effect.zipRight(keepRunning("loop", Effect.die("no")), adjust("65 seconds")))
      )
      const [first, second, ...others] = lines.map((line): Record<string, unknown> => JSON.parse(line))
      assert.deepStrictEqual(others, [])
      assert.deepInclude(first, { level: "ERROR", message: "The loop ended and is started again" })
      assert.isUndefined(first?.left_out)
      assert.isAbove(Number(second?.left_out), 100)
    }).pipe(jumping)
  )
})
