import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FastCheck, Layer } from "effect"
import { AppConfig } from "../src/AppConfig.ts"
import { quoted, redacted } from "../src/Redaction.ts"

describe("redacted", () => {
  for (const [given, shown] of [
    ["https://shop.example/fulfil", "https://shop.example/fulfil"],
    ["http://127.0.0.1:4318", "http://127.0.0.1:4318"],
    ["http://[::1]:4318/otlp", "http://[::1]:4318/otlp"],
    ["127.0.0.1:4318", "127.0.0.1:4318"],
    ["file:./data/orders.db", "file:./data/orders.db"],
    ["file:orders.db?key=x", "file:orders.db?***"],
    [":memory:", ":memory:"],
    ["postgres://user:pass@host/db", "postgres://***@host/db"],
    ["postgres://u:p@ss@host/db?password=x", "postgres://***@host/db?***"],
    ["https://user:pa/ss@host", "https://***@host"],
    ["https://user:pa?ss@host", "https://***"],
    ["https://user:pa#ss@host/?key=x", "https://***"],
    ["https://host/path?mail=a@b", "https://***"],
    ["https://host/path#fragment", "https://host/path#***"],
    ["https://host?a=1#b", "https://host?***"],
    ["user:pass@host", "***@host"],
    ["http:user:pass@host/", "http:***@host/"],
    ["http:\\\\user:pass@host/", "http:***@host/"],
    ["postgres://user:pass%40host/db", "postgres://user:***/db"],
    ["postgres://user:pass", "postgres://user:***"],
    [" https://user@host ", " https://***@host "]
  ] as const) {
    it(`shows ${given} as ${shown}`, () => assert.strictEqual(redacted(given), shown))
  }

  it("is quick on the longest a variable may be", () => {
    const begin = performance.now()
    for (const part of ["@", "?", ":", "://", "a:", "/", " "]) redacted(part.repeat(100_000))
    assert.isBelow(performance.now() - begin, 1000)
  })

  it("is one line of quoted text that steers no terminal", () => {
    const given = 'a\nb\r\x1b[31m\u009b31m\u202e\u2028\u2029\u200b\u{e0041}"\\'
    assert.strictEqual(
      quoted(given),
      '"a\\nb\\r\\u001b[31m\\u{9b}31m\\u{202e}\\u{2028}\\u{2029}\\u{200b}\\u{e0041}\\"\\\\"'
    )
  })
})

/** A word that is nowhere else, with anything around it. */
const secretWith = (mark: string) =>
  FastCheck.tuple(FastCheck.string({ unit: "grapheme" }), FastCheck.string()).map(([before, after]) =>
    `${before}${mark}${after}`.replaceAll("\0", "")
  )

const mistakes = (environment: Record<string, string>) =>
  Effect.match(
    Effect.provide(
      AppConfig,
      Layer.provide(
        AppConfig.layer,
        Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
      )
    ),
    { onFailure: ({ message }) => message, onSuccess: () => "" }
  )

const kinds = {
  url: (user: string, password: string, query: string) => `${user}:${password}@host.example/db?password=${query}`,
  userOnly: (user: string, _password: string, query: string) => `${user}@host.example?${query}`,
  fragment: (user: string, password: string, query: string) => `${user}:${password}@host.example#${query}`
}

describe("a mistake in a setting", () => {
  for (const [kind, make] of Object.entries(kinds)) {
    it(`never shows user, password or query (${kind})`, async () => {
      await FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.constantFrom("https://", "postgres://", "http:", "file://", "odd://", ""),
          secretWith("mark-user"),
          secretWith("mark-password"),
          secretWith("mark-query"),
          async (scheme, user, password, query) => {
            const url = scheme + make(user, password, query)
            const names = ["OTEL_EXPORTER_OTLP_ENDPOINT", "DATABASE_URL", "ALLOWED_ORIGINS", "WEBHOOK_URL", "PORT"]
            const given = Object.fromEntries(names.map((name) => [name, url]))
            const message = await Effect.runPromise(mistakes({ ...given, PROCESSOR: "webhook" }))
            assert.include(message, "PORT: given ")
            assert.include(message, "ALLOWED_ORIGINS: given ")
            for (const mark of ["mark-user", "mark-password", "mark-query"]) assert.notInclude(message, mark)
          }
        ),
        { numRuns: 100 }
      )
    })
  }
})
