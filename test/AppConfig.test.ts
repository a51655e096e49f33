import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, type Context, Duration, Effect, Layer, LogLevel, Option } from "effect"
import { AppConfig } from "../src/AppConfig.ts"
import { temporaryFolder } from "./TestLayers.ts"

type Settings = Context.Tag.Service<AppConfig>

/** A working folder of the test's own, so that no `.env` file of a developer is read. */
const workingFolder = Effect.flatMap(temporaryFolder, (folder) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.cwd()
      process.chdir(folder)
      return { before, folder: process.cwd() }
    }),
    ({ before }) => Effect.sync(() => process.chdir(before))
  )
).pipe(Effect.map(({ folder }) => folder))

const settings = (environment: Record<string, string>) =>
  Effect.provide(
    AppConfig,
    Layer.provide(
      AppConfig.layer,
      Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
    )
  )

const mistakes = (environment: Record<string, string>) =>
  Effect.map(Effect.flip(settings(environment)), ({ lines }) => lines)

interface Setting {
  readonly read: (settings: Settings) => unknown
  readonly allowed: string
  readonly good: ReadonlyArray<readonly [given: string, value: unknown]>
  readonly bad: ReadonlyArray<string>
}

const wholeNumber = (read: Setting["read"], min: number, max: number): Setting => ({
  read,
  allowed: `a whole number from ${min} to ${max}`,
  good: [
    [String(min), min],
    [String(max), max],
    [` ${max} `, max]
  ],
  bad: [String(min - 1), String(max + 1), "", " ", "1.5", "1e3", "0x10", "+1", "-1", "1 000", "many", "1".repeat(400)]
})

const share = (read: Setting["read"]): Setting => ({
  read,
  allowed: "a number from 0 to 1",
  good: [
    ["0", 0],
    [".5", 0.5],
    ["0.25", 0.25],
    ["1.0", 1]
  ],
  bad: ["-0.1", "1.01", "2", "1e-1", "50%", "", ".", "NaN", "half"]
})

const duration = (
  read: (settings: Settings) => Duration.Duration,
  [shortest, longest]: readonly [Duration.DurationInput, Duration.DurationInput],
  bad: ReadonlyArray<string>
): Setting => ({
  read: (settings) => Duration.toMillis(read(settings)),
  allowed: `a duration from ${Duration.format(shortest)} to ${Duration.format(longest)}, such as "500 millis" or "2 seconds"`,
  good: [
    [`${Duration.toMillis(shortest)} millis`, Duration.toMillis(shortest)],
    [`${Duration.toHours(longest)} hours`, Duration.toMillis(longest)],
    [" 1.5 seconds ", 1500],
    ["1 minute", 60_000]
  ],
  bad: [...bad, `${Duration.toMillis(longest) + 1} millis`, "-1 millis", "Infinity", "2", "2s", "soon", ""]
})

const oneOf = (read: Setting["read"], values: ReadonlyArray<string>): Setting => ({
  read,
  allowed: values.join(", "),
  good: values.map((value) => [value, value]),
  bad: [`${values[0]}x`, (values[0] ?? "").toUpperCase(), "", ",", "other"]
})

const everySetting: Record<string, Setting> = {
  PORT: wholeNumber((settings) => settings.port, 0, 65_535),
  HOST: {
    read: (settings) => settings.host,
    allowed: "an address or host name",
    good: [
      ["0.0.0.0", "0.0.0.0"],
      ["::1", "::1"],
      [" localhost ", "localhost"]
    ],
    bad: ["", " "]
  },
  DATABASE_URL: {
    read: (settings) => Path.relative(process.cwd(), settings.databaseFile),
    allowed: "file: and a path, such as file:./data/orders.db",
    good: [
      ["file:./orders.db", "orders.db"],
      ["file:orders.db", "orders.db"],
      ["file:data/orders.db", "data/orders.db"],
      ["file:../orders.db", "../orders.db"],
      ["file:./the%20orders.db", "the orders.db"]
    ],
    bad: [
      ...[
        "",
        "orders.db",
        "./orders.db",
        "/var/orders.db",
        ":memory:",
        "sqlite:orders.db",
        "http://localhost/orders.db"
      ],
      ...["postgres://user@localhost/orders", "file:", "file:/", "file://", "file:///", "file://elsewhere/orders.db"],
      ...["file:./data/", "file::memory:", "file:orders.db?mode=ro", "file:orders.db#1", "file:%ZZ"]
    ]
  },
  WORKERS: wholeNumber((settings) => settings.workers, 1, 10_000),
  QUEUE_CAPACITY: wholeNumber((settings) => settings.queueCapacity, 1, 1_000_000),
  MAX_PENDING: wholeNumber((settings) => settings.maxPending, 1, 1_000_000_000),
  PROCESSOR: oneOf((settings) => settings.processor, ["simulated"]),
  PROCESSING_TIME: duration((settings) => settings.processingTime, ["0 millis", "1 hour"], []),
  PROCESSING_JITTER: share((settings) => settings.processingJitter),
  PROCESSING_FAILURES: share((settings) => settings.processingFailures),
  MAX_ATTEMPTS: wholeNumber((settings) => settings.maxAttempts, 1, 1000),
  RETRY_BASE: duration((settings) => settings.retryBase, ["1 millis", "1 day"], ["0 millis", "0.9 millis"]),
  RETRY_MAX: duration((settings) => settings.retryMax, ["1 millis", "7 days"], ["0 millis", "0.9 millis"]),
  ATTEMPT_TIMEOUT: duration((settings) => settings.attemptTimeout, ["1 millis", "1 day"], ["0 millis", "0.9 millis"]),
  RETENTION: {
    read: (settings) => Option.getOrUndefined(Option.map(settings.retention, Duration.toMillis)),
    allowed: 'off, or a duration such as "30 days"',
    good: [
      ["off", undefined],
      ["1 second", 1000],
      [" 30 days ", 30 * 86_400_000]
    ],
    bad: ["", "on", "999 millis", "-1 days", "36501 days", "Infinity", "30"]
  },
  SHUTDOWN_GRACE: duration((settings) => settings.shutdownGrace, ["0 millis", "1 day"], []),
  LOG_LEVEL: oneOf(
    (settings) => settings.logLevel._tag,
    ["All", "Trace", "Debug", "Info", "Warning", "Error", "Fatal", "None"]
  ),
  LOG_FORMAT: oneOf((settings) => settings.logFormat, ["pretty", "json", "logfmt"])
}

describe("AppConfig", () => {
  it.scoped("has a default for every setting", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const { databaseFile, logFormat, ...others } = yield* settings({})
      assert.isTrue(Path.isAbsolute(databaseFile))
      assert.strictEqual(Path.join(...databaseFile.split(Path.sep).slice(-2)), "data/orders.db")
      assert.strictEqual(logFormat, process.stdout.isTTY ? "pretty" : "json")
      assert.deepStrictEqual(others, {
        port: 3000,
        host: "127.0.0.1",
        workers: 100,
        queueCapacity: 1000,
        maxPending: 100_000,
        processor: "simulated",
        processingTime: Duration.seconds(2),
        processingJitter: 0.5,
        processingFailures: 0,
        maxAttempts: 12,
        retryBase: Duration.seconds(1),
        retryMax: Duration.minutes(5),
        attemptTimeout: Duration.seconds(30),
        retention: Option.none(),
        shutdownGrace: Duration.seconds(25),
        logLevel: LogLevel.Info
      })
    })
  )

  for (const [name, { allowed, bad, good, read }] of Object.entries(everySetting)) {
    it.scoped(`takes a good ${name} and refuses a bad one in one line`, () =>
      Effect.gen(function* () {
        yield* workingFolder
        for (const [given, value] of good) {
          assert.strictEqual(read(yield* settings({ [name]: given })), value, `${name}=${given}`)
        }
        for (const given of bad) {
          assert.deepStrictEqual(yield* mistakes({ [name]: given }), [
            `${name}: given ${JSON.stringify(given)}, allowed is ${allowed}`
          ])
        }
      })
    )
  }

  it.scoped("takes an absolute database file in each form of a file URL", () =>
    Effect.gen(function* () {
      yield* workingFolder
      for (const given of ["file:/var/orders.db", "file:///var/orders.db", "file://localhost/var/orders.db"]) {
        assert.strictEqual((yield* settings({ DATABASE_URL: given })).databaseFile, "/var/orders.db")
      }
    })
  )

  it.scoped("tells all mistakes at once, one line each", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const given = Object.fromEntries(Object.entries(everySetting).map(([name, { bad }]) => [name, bad[0] ?? ""]))
      const expected = Object.entries(everySetting).map(
        ([name, { allowed }]) => `${name}: given ${JSON.stringify(given[name])}, allowed is ${allowed}`
      )
      assert.sameMembers([...(yield* mistakes(given))], expected)
      const error = yield* Effect.flip(settings({ ...given, PORT: "two\nlines" }))
      assert.strictEqual(error.message.split("\n").length, expected.length)
    })
  )

  it.scoped("reads a .env file of the working folder; the environment wins", () =>
    Effect.gen(function* () {
      const folder = yield* workingFolder
      yield* Effect.promise(() => Fs.writeFile(Path.join(folder, ".env"), "PORT=4000\nWORKERS=7\n"))
      const { port, workers } = yield* settings({ PORT: "5000" })
      assert.strictEqual(port, 5000)
      assert.strictEqual(workers, 7)
    })
  )
})
