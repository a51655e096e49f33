import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted } from "effect"
import { settingsBy, temporaryFolder } from "./support/TestLayers.ts"

const base64 = (text: string) => Buffer.from(text).toString("base64")
const [secret, other] = [base64("orders-test-secret-number-1"), base64("orders-test-secret-number-2")]

const webhook = { PROCESSOR: "webhook", WEBHOOK_URL: "https://shop.example/fulfil" }

const secrets = (given: Record<string, string>) =>
  Effect.map(settingsBy({ ...webhook, ...given }), ({ processor }) =>
    processor === "simulated" ? [] : processor.secrets.map(Redacted.value)
  )

const mistake = (given: Record<string, string>) =>
  Effect.map(Effect.flip(settingsBy(given)), ({ lines, message }) => {
    assert.lengthOf(lines, 1)
    assert.notInclude(message, "\n")
    return message
  })

/** A file in a folder of its own, with that content. */
const holding = (content: string | Buffer) =>
  Effect.map(temporaryFolder, (folder) => {
    const file = Path.join(folder, "secret")
    Fs.writeFileSync(file, content)
    return file
  })

describe("a secret from a file", () => {
  it.scoped("is what stands in it, several with line ends, blanks or commas between them", () =>
    Effect.gen(function* () {
      for (const [content, expected] of [
        [secret, [secret]],
        [`whsec_${secret}\n`, [secret]],
        [`\uFEFF${secret}\r\n`, [secret]],
        [`${other}\n${secret}\n\n`, [other, secret]],
        [`${other}\r\n${secret} , ${other}`, [other, secret, other]]
      ] as const) {
        assert.deepStrictEqual(yield* secrets({ WEBHOOK_SECRET_FILE: yield* holding(content) }), [...expected])
      }
      const file = yield* holding(`${secret}\n`)
      assert.deepStrictEqual(yield* secrets({ WEBHOOK_SECRET: " ", WEBHOOK_SECRET_FILE: ` ${file} ` }), [secret])
      assert.deepStrictEqual(yield* secrets({ WEBHOOK_SECRET: other, WEBHOOK_SECRET_FILE: "" }), [other])
      // As Kubernetes mounts it.
      Fs.symlinkSync(file, `${file}.link`)
      assert.deepStrictEqual(yield* secrets({ WEBHOOK_SECRET_FILE: `${file}.link` }), [secret])
    })
  )

  it.scoped("is refused in one line that shows nothing of it", () =>
    Effect.gen(function* () {
      const notShown = /^WEBHOOK_SECRET_FILE: given \(not shown\), allowed is a secret of 24 to 64 bytes/
      for (const content of ["", "\n", "hunter2", `${secret}\nhunter2`, `${secret}\0`]) {
        const message = yield* mistake({ ...webhook, WEBHOOK_SECRET_FILE: yield* holding(content) })
        assert.match(message, notShown)
        for (const word of ["hunter2", secret.slice(0, 8)]) assert.notInclude(message, word)
      }
      for (const [content, why] of [
        [Buffer.from([0x68, 0xff, 0x68]), "not UTF-8"],
        ["hunter2".repeat(10_000), "longer than 64 KiB"]
      ] as const) {
        const file = yield* holding(content)
        assert.strictEqual(
          yield* mistake({ ...webhook, WEBHOOK_SECRET_FILE: file }),
          `WEBHOOK_SECRET_FILE: "${file}" cannot be read: ${why}`
        )
      }
    })
  )

  it.scoped("that cannot be read is one line with the path and why", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const plain = Path.join(folder, "plain")
      Fs.writeFileSync(plain, "")
      for (const [file, why] of [
        [Path.join(folder, "missing"), "ENOENT: no such file or directory"],
        [folder, "not a regular file"],
        ["/dev/zero", "not a regular file"],
        [Path.join(plain, "secret"), "ENOTDIR: not a directory"],
        [`/${"x".repeat(5000)}`, "ENAMETOOLONG: name too long"]
      ] as const) {
        assert.strictEqual(
          yield* mistake({ ...webhook, WEBHOOK_SECRET_FILE: file }),
          `WEBHOOK_SECRET_FILE: "${file}" cannot be read: ${why}`
        )
      }
      const steering = yield* mistake({ ...webhook, WEBHOOK_SECRET_FILE: "/no\n/\u009b31m" })
      assert.include(steering, '"/no\\n/\\u{9b}31m" cannot be read')
    })
  )

  it.scoped("given itself where its path belongs is not shown", () =>
    Effect.gen(function* () {
      for (const name of ["WEBHOOK_SECRET_FILE", "OTEL_EXPORTER_OTLP_HEADERS_FILE"]) {
        const OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318"
        const given = { ...webhook, WEBHOOK_SECRET: secret, OTEL_EXPORTER_OTLP_ENDPOINT, [name]: "whsec_hunter2" }
        if (name === "WEBHOOK_SECRET_FILE") given.WEBHOOK_SECRET = ""
        assert.strictEqual(
          yield* mistake(given),
          `${name}: (not shown) cannot be read: ENOENT: no such file or directory`
        )
      }
    })
  )

  it.scoped("beside the variable is a mistake of one line", () =>
    Effect.gen(function* () {
      const file = yield* holding(secret)
      assert.strictEqual(
        yield* mistake({ ...webhook, WEBHOOK_SECRET: secret, WEBHOOK_SECRET_FILE: file }),
        "WEBHOOK_SECRET_FILE: given beside WEBHOOK_SECRET, allowed is one of them"
      )
    })
  )

  it.scoped("is needed by PROCESSOR=webhook, an empty name of a file is none", () =>
    Effect.gen(function* () {
      const message = yield* mistake({ ...webhook, WEBHOOK_SECRET_FILE: " " })
      assert.match(message, /^WEBHOOK_SECRET: not given, PROCESSOR=webhook needs a secret.*; or WEBHOOK_SECRET_FILE$/)
    })
  )

  it.scoped("has the headers for telemetry, a line each or with commas, and is not looked at without an endpoint", () =>
    Effect.gen(function* () {
      const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" }
      const headers = (given: Record<string, string>) =>
        Effect.map(settingsBy({ ...endpoint, ...given }), ({ telemetry }) =>
          Redacted.value(Option.getOrThrow(telemetry).headers)
        )
      const file = yield* holding("api-key=top%20secret\nx-tenant=shop,x-more=1\n")
      assert.deepStrictEqual(yield* headers({ OTEL_EXPORTER_OTLP_HEADERS_FILE: file }), {
        "api-key": "top secret",
        "x-tenant": "shop",
        "x-more": "1"
      })
      assert.strictEqual(
        yield* mistake({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: "a=b", OTEL_EXPORTER_OTLP_HEADERS_FILE: file }),
        "OTEL_EXPORTER_OTLP_HEADERS_FILE: given beside OTEL_EXPORTER_OTLP_HEADERS, allowed is one of them"
      )
      const bad = yield* mistake({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS_FILE: yield* holding("top secret") })
      assert.match(bad, /^OTEL_EXPORTER_OTLP_HEADERS_FILE: given \(not shown\), allowed is headers such as /)
      const missing = { OTEL_EXPORTER_OTLP_HEADERS_FILE: "/missing/headers" }
      assert.include(yield* mistake({ ...endpoint, ...missing }), '"/missing/headers" cannot be read: ENOENT')
      assert.deepStrictEqual((yield* settingsBy(missing)).telemetry, Option.none())
    })
  )
})
