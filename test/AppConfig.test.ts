import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { type Context, Duration, Effect, LogLevel, Option, Redacted } from "effect"
import type { AppConfig } from "../src/AppConfig.ts"
import { quoted } from "../src/Redaction.ts"
import { settingsBy, temporaryFolder } from "./support/TestLayers.ts"

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

const mistakes = (environment: Record<string, string>) =>
  Effect.match(settingsBy(environment), { onFailure: ({ lines }) => lines, onSuccess: () => [] })

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

const age = (read: (settings: Settings) => Option.Option<Duration.Duration>) => ({
  read: (settings: Settings) => Option.getOrUndefined(Option.map(read(settings), Duration.toMillis)),
  allowed: 'off, or a duration such as "30 days"',
  good: [
    ["off", undefined],
    ["1 second", 1000],
    [" 30 days ", 30 * 86_400_000]
  ] as const,
  bad: ["", "on", "999 millis", "-1 days", "36501 days", "Infinity", "30"]
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
      ["127.0.0.2", "127.0.0.2"],
      ["::1", "::1"],
      ["[::1]", "::1"],
      [" localhost ", "localhost"]
    ],
    bad: ["", " "]
  },
  API_KEYS_FILE: {
    read: ({ apiKeysFile }) => Option.map(apiKeysFile, (file) => Path.relative("/etc", file)).pipe(Option.getOrThrow),
    allowed: "the path of a file of keys",
    good: [
      ["/etc/orders/keys", "orders/keys"],
      [" /etc/keys ", "keys"]
    ],
    bad: ["", " "]
  },
  ALLOW_UNAUTHENTICATED: oneOf((settings) => (settings.allowUnauthenticated ? "yes" : "no"), ["yes", "no"]),
  ALLOWED_HOSTS: {
    read: (settings) => [...settings.allowedHosts].join(" "),
    allowed: "host names without ports, such as orders.example, with commas between several",
    good: [
      ["orders", "orders"],
      [" Orders.Example, orders ,", "orders.example orders"],
      ["", ""]
    ],
    bad: ["orders:3000", "http://orders.example", "*.example", "orders/", "orders..example", "*"]
  },
  ALLOWED_ORIGINS: {
    read: (settings) => [...settings.allowedOrigins].join(" "),
    allowed: "origins, such as https://orders.example, with commas between several",
    good: [
      ["https://Orders.Example", "https://orders.example"],
      ["http://orders.example:80/ https://a.example:8443", "http://orders.example https://a.example:8443"],
      ["", ""]
    ],
    bad: [
      "orders.example",
      "null",
      "*",
      "https://orders.example/page",
      "https://a@orders.example",
      "ftp://orders.example"
    ]
  },
  DATABASE_URL: {
    read: (settings) => Path.relative(process.cwd(), settings.databaseFile),
    allowed:
      "file: and a path, such as file:./data/orders.db; ~ is not read as the home folder, so write that out; or postgres:// or mariadb:// and user@host:port/database",
    good: [
      ["file:./orders.db", "orders.db"],
      ["file:orders.db", "orders.db"],
      ["file:data/orders.db", "data/orders.db"],
      ["file:../orders.db", "../orders.db"],
      ["file:./the%20orders.db", "the orders.db"],
      ["file:./~/orders.db", "~/orders.db"]
    ],
    bad: [
      ...["file:~/orders.db", "file:~", "file:~shop/orders.db"],
      ...[
        "",
        "orders.db",
        "./orders.db",
        "/var/orders.db",
        ":memory:",
        "sqlite:orders.db",
        "http://localhost/orders.db"
      ],
      ...["mongodb://localhost/orders", "file:", "file:/", "file://", "file:///", "file://elsewhere/orders.db"],
      ...["file:./data/", "file::memory:", "file:orders.db?mode=ro", "file:orders.db#1", "file:%ZZ"]
    ]
  },
  QUEUE: { ...oneOf((settings) => settings.queue, ["memory", "pg-boss"]), good: [["memory", "memory"]] },
  ROLE: { ...oneOf((settings) => settings.role, ["all", "api", "worker"]), good: [["all", "all"]] },
  WORKERS: wholeNumber((settings) => settings.workers, 1, 10_000),
  QUEUE_CAPACITY: wholeNumber((settings) => settings.queueCapacity, 1, 1_000_000),
  MAX_PENDING: wholeNumber((settings) => settings.maxPending, 1, 1_000_000_000),
  PROCESSOR: {
    read: (settings) => settings.processor,
    allowed: "simulated, webhook",
    good: [["simulated", "simulated"]],
    bad: ["Webhook", "SIMULATED", "", "other", "simulated,webhook"]
  },
  PROCESSING_TIME: duration((settings) => settings.processingTime, ["0 millis", "1 hour"], []),
  PROCESSING_JITTER: share((settings) => settings.processingJitter),
  PROCESSING_FAILURES: share((settings) => settings.processingFailures),
  MAX_ATTEMPTS: wholeNumber((settings) => settings.maxAttempts, 1, 1000),
  RETRY_BASE: duration((settings) => settings.retryBase, ["1 millis", "1 day"], ["0 millis", "0.9 millis"]),
  RETRY_MAX: duration((settings) => settings.retryMax, ["1 millis", "7 days"], ["0 millis", "0.9 millis"]),
  ATTEMPT_TIMEOUT: duration((settings) => settings.attemptTimeout, ["1 millis", "1 day"], ["0 millis", "0.9 millis"]),
  RETENTION: age((settings) => settings.retention),
  HISTORY: age((settings) => settings.history),
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
      const { databaseFile, logFormat, ...others } = yield* settingsBy({})
      assert.isTrue(Path.isAbsolute(databaseFile))
      assert.strictEqual(Path.join(...databaseFile.split(Path.sep).slice(-2)), "data/orders.db")
      assert.strictEqual(logFormat, process.stdout.isTTY ? "pretty" : "json")
      assert.deepStrictEqual(others, {
        port: 3000,
        host: "127.0.0.1",
        isExposed: false,
        apiKeysFile: Option.none(),
        allowUnauthenticated: false,
        allowedHosts: new Set<string>(),
        allowedOrigins: new Set<string>(),
        queue: "memory",
        role: "all",
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
        history: Option.some(Duration.days(30)),
        shutdownGrace: Duration.seconds(25),
        logLevel: LogLevel.Info,
        telemetry: Option.none(),
        databaseServer: Option.none()
      })
    })
  )

  const nodes = { QUEUE: "pg-boss", DATABASE_URL: "postgres://shop@db/orders" }
  for (const [title, environment, lines] of [
    ["several nodes", nodes, []],
    ["a node that processes none", { ...nodes, ROLE: "api" }, []],
    ["a node that takes none", { ...nodes, ROLE: "worker" }, []],
    [
      "a role of one process",
      { ROLE: "api" },
      ['ROLE: given "api", which needs QUEUE=pg-boss: a process alone does all']
    ],
    [
      "an engine on a file",
      { QUEUE: "pg-boss" },
      ['QUEUE: given "pg-boss", which needs a PostgreSQL server in DATABASE_URL']
    ],
    [
      "an engine on MariaDB, with a short history, with attempts of a day",
      { QUEUE: "pg-boss", DATABASE_URL: "mariadb://shop@db/orders", HISTORY: "59 minutes", ATTEMPT_TIMEOUT: "1 day" },
      [
        'QUEUE: given "pg-boss", which needs a PostgreSQL server in DATABASE_URL',
        'HISTORY: with QUEUE=pg-boss 1 hour at least, or "off": nodes hear of each other by the history',
        "ATTEMPT_TIMEOUT: with QUEUE=pg-boss 12 hours at most"
      ]
    ]
  ] as const) {
    it.scoped(`reads the settings of ${title}`, () =>
      Effect.gen(function* () {
        yield* workingFolder
        assert.deepStrictEqual(yield* mistakes(environment), lines)
      })
    )
  }

  for (const [name, { allowed, bad, good, read }] of Object.entries(everySetting)) {
    it.scoped(`takes a good ${name} and refuses a bad one in one line`, () =>
      Effect.gen(function* () {
        yield* workingFolder
        for (const [given, value] of good) {
          assert.strictEqual(read(yield* settingsBy({ [name]: given })), value, `${name}=${given}`)
        }
        for (const given of bad) {
          assert.deepStrictEqual(yield* mistakes({ [name]: given }), [
            `${name}: given ${quoted(given)}, allowed is ${allowed}`
          ])
        }
      })
    )
  }

  for (const host of ["0.0.0.0", "::", "10.0.0.1", "orders.example", "::ffff:10.0.0.1", "localhost.example"]) {
    it.scoped(`without keys does not listen on ${host}, unless that is asked for`, () =>
      Effect.gen(function* () {
        yield* workingFolder
        const [line = "", ...others] = yield* mistakes({ HOST: host })
        assert.match(
          line,
          /^HOST: given "[^"]+", where others may reach it, without keys: .*API_KEYS_FILE.*ALLOW_UNAUTHENTICATED=yes/
        )
        assert.lengthOf(others, 0)
        assert.isTrue((yield* settingsBy({ HOST: host, ALLOW_UNAUTHENTICATED: "yes" })).isExposed)
        assert.isTrue((yield* settingsBy({ HOST: host, API_KEYS_FILE: "keys" })).isExposed)
        assert.lengthOf(yield* mistakes({ HOST: host, ALLOW_UNAUTHENTICATED: "no", PORT: "x" }), 2)
      })
    )
  }

  for (const host of [
    "localhost",
    "LOCALHOST",
    "orders.localhost",
    "127.1.2.3",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1"
  ]) {
    it.scoped(`needs no keys on ${host}`, () =>
      Effect.gen(function* () {
        yield* workingFolder
        assert.isFalse((yield* settingsBy({ HOST: host })).isExposed)
      })
    )
  }

  const receiver = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" }

  it.scoped("refuses what telemetry cannot be sent by, in one line each, and takes what is empty for not given", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const refused: Record<string, readonly [given: string, allowed: string]> = {
        OTEL_EXPORTER_OTLP_PROTOCOL: ["grpc", "http/json, http/protobuf"],
        OTEL_SERVICE_NAME: ["", ""],
        OTEL_EXPORTER_OTLP_HEADERS: ["", ""],
        OTEL_RESOURCE_ATTRIBUTES: [
          "a=%ZZ",
          "attributes such as deployment.environment=production,host.name=a, their values percent-encoded"
        ],
        OTEL_TRACES_SAMPLER: [
          "xray",
          "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio"
        ],
        OTEL_TRACES_SAMPLER_ARG: ["2", "a number from 0 to 1"],
        OTEL_TRACES_EXPORTER: ["zipkin", "otlp, none"],
        OTEL_METRICS_EXPORTER: ["otlp,console", "otlp, prometheus, none"]
      }
      const given = Object.fromEntries(Object.entries(refused).map(([name, [given]]) => [name, given]))
      assert.deepStrictEqual(
        (yield* mistakes({ ...given, ...receiver })).toSorted(),
        Object.entries(refused)
          .filter(([, [given]]) => given !== "")
          .map(([name, [given, allowed]]) => `${name}: given ${JSON.stringify(given)}, allowed is ${allowed}`)
          .toSorted()
      )
      for (const endpoint of ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://127.0.0.1:4318?key=1"]) {
        assert.deepStrictEqual(yield* mistakes({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }), [
          `OTEL_EXPORTER_OTLP_ENDPOINT: given "${endpoint.replace("key=1", "***")}", allowed is an http or https URL without a password or a query, such as http://127.0.0.1:4318`
        ])
      }

      // As a platform sets them for others.
      for (const off of [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: " " }, { ...receiver, OTEL_SDK_DISABLED: "True" }]) {
        const settled = yield* settingsBy({ ...given, OTEL_EXPORTER_OTLP_HEADERS: "top secret", ...off })
        assert.deepStrictEqual(settled.telemetry, Option.none())
      }
      const empty = Object.fromEntries(Object.keys(refused).map((name) => [name, ""]))
      assert.deepStrictEqual(
        (yield* settingsBy({ ...empty, ...receiver })).telemetry,
        (yield* settingsBy(receiver)).telemetry
      )
    })
  )

  it.scoped("sends by OTLP what is to go there, in either form", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const of = (given: Record<string, string>) =>
        Effect.map(settingsBy({ ...receiver, ...given }), ({ telemetry }) => {
          const { protocol, sendsMetrics, sendsTraces } = Option.getOrThrow(telemetry)
          return [protocol, sendsTraces, sendsMetrics]
        })
      assert.deepStrictEqual(yield* of({}), ["http/json", true, true])
      const protobuf = { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" }
      assert.deepStrictEqual(yield* of(protobuf), ["http/protobuf", true, true])
      assert.deepStrictEqual(yield* of({ OTEL_METRICS_EXPORTER: "prometheus" }), ["http/json", true, false])
      assert.deepStrictEqual(yield* of({ OTEL_METRICS_EXPORTER: "Prometheus, otlp" }), ["http/json", true, true])
      assert.deepStrictEqual(yield* of({ OTEL_TRACES_EXPORTER: "none" }), ["http/json", false, true])
    })
  )

  it.scoped("reads what OpenTelemetry is configured by, and shows no header", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const given = {
        OTEL_EXPORTER_OTLP_ENDPOINT: "https://otlp.example/otlp",
        OTEL_EXPORTER_OTLP_HEADERS: "api-key=top%20secret, x-tenant=shop",
        OTEL_RESOURCE_ATTRIBUTES: "service.name=ignored,deployment.environment=a%2Cb",
        OTEL_SERVICE_NAME: "orders-eu",
        OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG: "0.25",
        OTEL_METRICS_EXPORTER: "none"
      }
      const telemetry = Option.getOrThrow((yield* settingsBy(given)).telemetry)
      assert.deepStrictEqual(Redacted.value(telemetry.headers), { "api-key": "top secret", "x-tenant": "shop" })
      assert.notInclude(JSON.stringify(telemetry), "secret")
      const { headers: _headers, ...shown } = telemetry
      assert.deepStrictEqual(shown, {
        endpoint: new URL("https://otlp.example/otlp"),
        resource: { "deployment.environment": "a,b" },
        serviceName: "orders-eu",
        protocol: "http/json",
        sampler: { parentBased: true, share: 0.25 },
        sendsMetrics: false,
        sendsTraces: true
      })
      assert.deepStrictEqual(yield* mistakes({ ...given, OTEL_EXPORTER_OTLP_HEADERS: "top secret" }), [
        "OTEL_EXPORTER_OTLP_HEADERS: given (not shown), allowed is headers such as api-key=secret,x-tenant=shop, their values percent-encoded"
      ])
    })
  )

  it.scoped("takes an absolute database file in each form of a file URL", () =>
    Effect.gen(function* () {
      yield* workingFolder
      for (const given of ["file:/var/orders.db", "file:///var/orders.db", "file://localhost/var/orders.db"]) {
        assert.strictEqual((yield* settingsBy({ DATABASE_URL: given })).databaseFile, "/var/orders.db")
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
      const error = yield* Effect.flip(settingsBy({ ...given, PORT: "two\nlines" }))
      assert.strictEqual(error.message.split("\n").length, expected.length)
    })
  )

  const url = "https://shop.example/fulfil?lane=1"
  const secret = Buffer.from("a secret for tests, long enough").toString("base64")
  const webhook = (given: Record<string, string>) => ({
    PROCESSOR: "webhook",
    WEBHOOK_URL: url,
    WEBHOOK_SECRET: secret,
    ...given
  })
  const read = (given: Record<string, string>) =>
    Effect.map(settingsBy(webhook(given)), ({ processor }) => {
      assert.isTrue(processor !== "simulated")
      return processor === "simulated"
        ? undefined
        : { href: processor.url.href, secrets: processor.secrets.map(Redacted.value) }
    })

  it.scoped("PROCESSOR=webhook needs a URL and a secret: a line for each that is missing", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const lines = yield* mistakes({ PROCESSOR: "webhook" })
      assert.strictEqual(lines.length, 2)
      assert.match(lines[0] ?? "", /^WEBHOOK_URL: not given, PROCESSOR=webhook needs an http or https URL/)
      assert.match(lines[1] ?? "", /^WEBHOOK_SECRET: not given, PROCESSOR=webhook needs a secret/)
      const [line, ...others] = yield* mistakes({ PROCESSOR: "webhook", WEBHOOK_URL: url })
      assert.match(line ?? "", /^WEBHOOK_SECRET: not given/)
      assert.deepStrictEqual(others, [])
      assert.strictEqual((yield* settingsBy({ WEBHOOK_URL: url, WEBHOOK_SECRET: secret })).processor, "simulated")
    })
  )

  it.scoped("a bad URL and a missing secret are a line each", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const lines = yield* mistakes({ PROCESSOR: "webhook", WEBHOOK_URL: "ftp://shop.example/" })
      assert.deepStrictEqual(
        lines.map((line) => line.split(":")[0]),
        ["WEBHOOK_URL", "WEBHOOK_SECRET"]
      )
    })
  )

  it.scoped("takes an http or https URL as WEBHOOK_URL and no other", () =>
    Effect.gen(function* () {
      yield* workingFolder
      for (const given of [url, "http://127.0.0.1:8080/", " http://[::1]/hook ", "https://shop.example/"]) {
        assert.strictEqual((yield* read({ WEBHOOK_URL: given }))?.href, given.trim())
      }
      const bad = [
        `${url}#fragment`,
        "",
        "shop.example",
        "//shop.example/",
        "http://",
        "ftp://shop.example/",
        "file:///hook",
        "javascript:1"
      ]
      for (const given of bad) {
        const lines = yield* mistakes(webhook({ WEBHOOK_URL: given }))
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0], "WEBHOOK_URL: given (not shown), allowed is an http or https URL")
      }
    })
  )

  it.scoped("takes no WEBHOOK_URL with a user or a password, and shows no password", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const urls = [
        "http://user:hunter2@shop.example/",
        "http://:hunter2@shop.example/",
        "ftp://user:hunter2@shop.example/",
        "http://user:pass@hunter2@shop.example/",
        "http://user:pass/hunter2@shop.example/",
        "http:user:hunter2@shop.example/",
        "http:/user:hunter2@shop.example/",
        "http:\\\\user:hunter2@shop.example/",
        "http://hunter2@shop.example/"
      ]
      for (const given of urls) {
        const lines = yield* mistakes(webhook({ WEBHOOK_URL: given }))
        assert.strictEqual(lines.length, 1, given)
        assert.match(lines[0] ?? "", /^WEBHOOK_URL: given /)
        assert.notInclude(lines[0], "hunter2", given)
      }
    })
  )

  it.scoped("takes one secret or several, with or without whsec_ before them", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const [short, long] = [24, 64].map((size) => Buffer.alloc(size, size).toString("base64"))
      const good: ReadonlyArray<readonly [string, ReadonlyArray<string | undefined>]> = [
        [secret, [secret]],
        [`whsec_${secret}`, [secret]],
        [`  ${short}  `, [short]],
        [`${short} ${long}`, [short, long]],
        [`${short},${long}`, [short, long]],
        [`whsec_${short} ,  ${secret}\n whsec_${long}`, [short, secret, long]]
      ]
      for (const [given, secrets] of good) {
        assert.deepStrictEqual((yield* read({ WEBHOOK_SECRET: given }))?.secrets, secrets)
      }
    })
  )

  it.scoped("refuses a bad secret, also among good ones, in one line that does not show it", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const bad = [
        ...["", " ", "short", "whsec_", "not base64, but long enough to be one!", `whsec_whsec_${secret}`],
        ...[Buffer.alloc(23).toString("base64"), Buffer.alloc(65).toString("base64")],
        ...[`${secret} short`, `short,${secret}`, `${secret}*`, `${secret}=====`, "-_".repeat(20), `WHSEC_${secret}`]
      ]
      for (const given of bad) {
        const lines = yield* mistakes(webhook({ WEBHOOK_SECRET: given }))
        assert.strictEqual(lines.length, 1, given)
        assert.match(lines[0] ?? "", /^WEBHOOK_SECRET: given \(not shown\), allowed is a secret of 24 to 64 bytes/)
        assert.notInclude(lines[0], secret.slice(0, 8))
      }
    })
  )

  it.scoped("refuses a secret that is no base64 to the endpoint's library", () =>
    Effect.gen(function* () {
      yield* workingFolder
      for (const given of ["A".repeat(33), `${"A".repeat(32)}B===`.slice(0, 34)]) {
        const lines = yield* mistakes(webhook({ WEBHOOK_SECRET: given }))
        assert.strictEqual(lines.length, 1, given)
      }
    })
  )

  it.scoped("shows no secret when the settings are printed", () =>
    Effect.gen(function* () {
      yield* workingFolder
      const all = yield* settingsBy(webhook({ WEBHOOK_SECRET: `${secret} whsec_${secret}` }))
      for (const text of [inspect(all, { depth: 10, showHidden: true }), JSON.stringify(all), String(all.processor)]) {
        assert.notInclude(text, secret.slice(0, 8))
      }
      assert.include(JSON.stringify(all), "shop.example")
    })
  )

  it.scoped("reads a .env file of the working folder; the environment wins", () =>
    Effect.gen(function* () {
      const folder = yield* workingFolder
      yield* Effect.promise(() => Fs.writeFile(Path.join(folder, ".env"), "PORT=4000\nWORKERS=7\n"))
      const { port, workers } = yield* settingsBy({ PORT: "5000" })
      assert.strictEqual(port, 5000)
      assert.strictEqual(workers, 7)
    })
  )
})
