import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { hashOf, randomKey } from "../../src/access/ApiKey.ts"
import { failToStart, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const lineOf = (name: string, key: string) => `${name} submit,read,operate sha256:${hashOf(key)}\n`

const keyFile = (folder: string) => Path.join(folder, "keys")
const writeKeys = (folder: string, text: string) => Fs.writeFileSync(keyFile(folder), text, { mode: 0o600 })

const statusOf = (url: string, key: string, path = "/api/orders") =>
  Effect.promise(() => fetch(url + path, { headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status))

const logged = ({ output }: ServiceProcess, text: string) =>
  output.stdout.split("\n").filter((line) => line.includes(text))

describe("The built service", () => {
  for (const host of ["0.0.0.0", "::"]) {
    it.scopedLive(`does not listen on ${host} without keys, and says in one line what to do`, () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const { code, stderr, stdout } = yield* failToStart(folder, { HOST: host })
        assert.strictEqual(code, 1)
        assert.strictEqual(stdout, "")
        assert.match(stderr, /^HOST: given "[^"]+", [^\n]*API_KEYS_FILE[^\n]*ALLOW_UNAUTHENTICATED=yes[^\n]*\n$/)
        assert.isFalse(Fs.existsSync(Path.join(folder, "data")))
      })
    )
  }

  it.scopedLive("listens on 0.0.0.0 without keys where it may, with a warning", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const service = yield* startService(folder, { HOST: "0.0.0.0", ALLOW_UNAUTHENTICATED: "yes" })
      const url = service.url.replace("0.0.0.0", "127.0.0.1")
      assert.strictEqual(yield* statusOf(url, ""), 200)
      const [warning = ""] = logged(service, "ALLOW_UNAUTHENTICATED=yes")
      assert.include(warning, '"level":"WARN"')
    })
  )

  it.scopedLive("listens on 0.0.0.0 with keys, and asks for them", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const key = randomKey()
      writeKeys(folder, lineOf("shop", key))
      const service = yield* startService(folder, { HOST: "0.0.0.0", API_KEYS_FILE: keyFile(folder) })
      const url = service.url.replace("0.0.0.0", "127.0.0.1")
      assert.strictEqual(yield* statusOf(url, ""), 401)
      assert.strictEqual(yield* statusOf(url, key), 200)
      assert.strictEqual(yield* statusOf(url, key, "/metrics"), 403)
      assert.lengthOf(
        logged(service, "WARN").filter((line) => line.includes("ALLOW_UNAUTHENTICATED")),
        0
      )
    })
  )

  it.scopedLive("does not start with a file of keys that is not there, faulty, or that others may write", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const settings = { API_KEYS_FILE: keyFile(folder) }
      const missing = yield* failToStart(folder, settings)
      assert.match(missing.stderr, /^API_KEYS_FILE: \S+keys: cannot be read: ENOENT[^\n]*\n$/)
      writeKeys(folder, `shop none sha256:00\nshop read ${randomKey()}\n`)
      const faulty = yield* failToStart(folder, settings)
      assert.match(faulty.stderr, /^API_KEYS_FILE: \S+keys: line 1: [^\n]+\nAPI_KEYS_FILE: \S+keys: line 2: [^\n]+\n$/)
      assert.notInclude(faulty.stderr, "ord_")
      writeKeys(folder, lineOf("shop", randomKey()))
      Fs.chmodSync(keyFile(folder), 0o666)
      const open = yield* failToStart(folder, settings)
      assert.match(open.stderr, /^API_KEYS_FILE: [^\n]*\(mode 0666\): chmod go-w \S+keys\n$/)
      for (const { code } of [missing, faulty, open]) assert.strictEqual(code, 1)
      assert.isFalse(Fs.existsSync(Path.join(folder, "data")))
    })
  )

  it.scopedLive("reads its keys again on SIGHUP, and keeps them where the file is faulty", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const [former, next] = [randomKey(), randomKey()]
      writeKeys(folder, lineOf("shop", former))
      const service = yield* startService(folder, { API_KEYS_FILE: keyFile(folder) })
      const reload = (text: string, log: string) => {
        writeKeys(folder, text)
        service.child.kill("SIGHUP")
        return until(() => logged(service, log).length > 0)
      }
      yield* reload("shop nothing\n", "The keys stay as they are")
      assert.strictEqual(yield* statusOf(service.url, former), 200)
      assert.include(logged(service, "The keys stay as they are")[0], "line 1: the scopes of shop")
      yield* reload(lineOf("shop", next), "Keys read again")
      assert.strictEqual(yield* statusOf(service.url, former), 401)
      assert.strictEqual(yield* statusOf(service.url, next), 200)
      assert.isNull(service.child.exitCode)
      service.child.kill("SIGTERM")
      assert.strictEqual(yield* service.exited, 0)
    })
  )

  it.scopedLive("logs who cancelled and retried, by the name of the key, and no key anywhere", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const [shop, desk] = [randomKey(), randomKey()]
      writeKeys(folder, lineOf("shop", shop) + lineOf("desk", desk))
      const settings = {
        API_KEYS_FILE: keyFile(folder),
        LOG_LEVEL: "All",
        PROCESSING_TIME: "1 hour",
        SHUTDOWN_GRACE: "0 millis"
      }
      const service = yield* startService(folder, settings)
      const ask = (key: string, path: string, body?: string) =>
        Effect.promise(() =>
          fetch(service.url + path, {
            method: "POST",
            headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
            ...(body === undefined ? {} : { body })
          }).then(({ status }) => status)
        )
      const order = JSON.stringify({ order_id: 1, user_id: 1, item_ids: [1], total_amount: 1 })
      assert.strictEqual(yield* ask(shop, "/api/order", order), 202)
      assert.strictEqual(yield* ask(desk, "/api/order/1/cancel"), 200)
      assert.strictEqual(yield* ask(desk, "/api/order/1/retry"), 200)
      assert.strictEqual(yield* ask(desk, "/api/orders/retry", '{"status":"Cancelled"}'), 200)
      assert.strictEqual(yield* ask(randomKey(), "/api/order", order), 401)
      yield* until(() => logged(service, "Orders retried").length > 0)
      for (const what of ["Order cancelled", "Order retried", "Orders retried"]) {
        const [line = "", ...others] = logged(service, `"${what}"`)
        assert.lengthOf(others, 0)
        assert.include(line, '"key":"desk"')
      }
      yield* until(() => logged(service, '"status":202').length > 0)
      assert.include(logged(service, '"status":202')[0], '"key":"shop"')
      service.child.kill("SIGTERM")
      yield* service.exited
      for (const text of [service.output.stdout, service.output.stderr]) {
        for (const secret of [shop, desk, hashOf(shop), "ord_"]) assert.notInclude(text, secret)
      }
    })
  )
})
