import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout } from "node:timers/promises"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Predicate, Schema } from "effect"
import { ServiceMetrics } from "../src/api/Answers.ts"
import { aNewOrder, post, type ServiceProcess, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"

const execute = promisify(execFile)

interface Step {
  readonly code: string
  /** What the document shows of its output. */
  readonly answer: string | undefined
}

/** The commands of a document in their order, each with the block behind it if that shows what comes of it. */
const stepsOf = (file: string): ReadonlyArray<Step> => {
  const blocks = Array.from(
    Fs.readFileSync(file, "utf8").matchAll(/^```(\w*)\n(.*?)^```\n/gms),
    ({ 0: { length }, 1: language = "", 2: code = "", index }) => ({ language, code, index, end: index + length })
  )
  return blocks.flatMap(({ code, end, language }, position) => {
    const next = blocks[position + 1]
    const isAnswer = next !== undefined && next.index === end + 1 && next.language !== "sh"
    return language === "sh" ? [{ code, answer: isAnswer ? next.code : undefined }] : []
  })
}

const documents = [
  "README.md",
  ...Fs.readdirSync("docs").map((name) => `docs/${name}`),
  "CONTRIBUTING.md",
  "SECURITY.md"
].filter((name) => name.endsWith(".md"))

const stepWith = (text: string) => {
  const [step, ...others] = documents.flatMap(stepsOf).filter(({ code }) => code.includes(text))
  assert.isTrue(step !== undefined && others.length === 0, `one block with ${text}`)
  return step?.code ?? ""
}

/** In a shell, in a folder; curl says nothing of its progress there. */
const shell = (folder: string, code: string, env: Record<string, string> = {}) =>
  Effect.promise(async () => {
    await Fs.promises.writeFile(Path.join(folder, ".curlrc"), "silent\nshow-error\n")
    const options = { cwd: folder, env: { PATH: process.env.PATH, HOME: folder, ...env } }
    return (await execute("bash", ["-e", "-o", "pipefail", "-c", code], options)).stdout
  })

/** The JSON values that stand one behind the other in a text. `...` in one stands for more fields. */
const valuesIn = (text: string): ReadonlyArray<unknown> => {
  const values: Array<unknown> = []
  const json = text.replaceAll(",...}", ',"...":0}')
  for (let begin = 0, end = 0; end < json.length; end++) {
    if (json[end] !== "}") continue
    try {
      values.push(JSON.parse(json.slice(json.indexOf("{", begin), end + 1)))
      begin = end + 1
    } catch {
      // It ends further behind.
    }
  }
  return values
}

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** What is found has to be what the document shows, but for times, and for numbers where those differ each time. */
const isAsShown = (shown: unknown, found: unknown, numbersDiffer: boolean, at: string): void => {
  if (typeof shown === "string" && typeof found === "string") {
    if (time.test(shown)) assert.match(found, time, at)
    else if (shown.endsWith("...")) assert.isTrue(found.startsWith(shown.slice(0, -3)), `${at}: ${found}`)
    else assert.strictEqual(found, shown, at)
  } else if (Predicate.isRecord(shown) && Predicate.isRecord(found)) {
    const { "...": more, ...fields } = shown
    if (more === undefined) assert.sameMembers(Object.keys(found), Object.keys(fields), at)
    for (const [name, value] of Object.entries(fields)) isAsShown(value, found[name], numbersDiffer, `${at}/${name}`)
  } else if (Array.isArray(shown) && Array.isArray(found)) {
    assert.strictEqual(found.length, shown.length, at)
    for (const [index, value] of shown.entries()) isAsShown(value, found[index], numbersDiffer, `${at}/${index}`)
  } else if (typeof shown === "number" && numbersDiffer) assert.isNumber(found, at)
  else assert.deepStrictEqual(found, shown, at)
}

const check = ({ answer, code }: Step, output: string) => {
  if (answer === undefined) return assert.notInclude(output, "urn:orders:problem:", code)
  if (answer.startsWith("HTTP/")) {
    for (const line of answer.split("\n")) assert.include(output, line, code)
    return
  }
  const [shown, found] = [valuesIn(answer), valuesIn(output)]
  assert.isAbove(shown.length, 0, code)
  isAsShown(shown, found, code.includes("/api/metrics"), `${code}${output}`)
}

const decodeMetrics = Schema.decodeUnknownPromise(ServiceMetrics)
const metricsOf = (url: string) =>
  Effect.promise(async () => decodeMetrics(await (await fetch(`${url}/api/metrics`)).json()))

const untilIdle = (url: string) =>
  Effect.repeat(Effect.delay(metricsOf(url), "100 millis"), {
    until: ({ orders_pending, orders_processing }) => orders_pending + orders_processing === 0
  })

const settingsIn = (code: string): Record<string, string> =>
  Object.fromEntries(Array.from(code.matchAll(/(\w+)=(\S+)/g), ([, name = "", value = ""]) => [name, value]))

/** Watches until an order changes, which it is made to do once this listens. */
const watch = (folder: string, { answer = "", code }: Step, url: string) =>
  Effect.promise(async () => {
    const child = spawn("bash", ["-c", `exec ${code.replace("curl ", "curl -i ")}`], { cwd: folder })
    let output = ""
    for await (const chunk of child.stdout) {
      if (output === "") await post(url, { order_id: 401, user_id: 1, item_ids: [1], total_amount: 1 })
      output += chunk
      if (/^data: .*\n\n/m.test(output)) break
    }
    child.kill()
    assert.include(output, "event: order\n")
    const [[shown], [found]] = [valuesIn(answer), valuesIn(output.slice(output.indexOf("data: ")))]
    assert.isTrue(Predicate.isRecord(shown) && Predicate.isRecord(found))
    assert.sameMembers(Object.keys(found ?? {}), Object.keys(shown ?? {}))
  })

/** A folder on the PATH in which `orders` is the built command line, whatever stands for it in the document. */
const commandLine = (folder: string) => {
  const bin = Path.join(folder, "bin")
  Fs.mkdirSync(bin, { recursive: true })
  const link = Path.join(bin, "orders")
  if (!Fs.existsSync(link)) Fs.symlinkSync(Path.resolve("dist/cli.js"), link)
  return { PATH: `${bin}:${Path.dirname(process.execPath)}:${process.env.PATH}` }
}

/** The words of each line but the numbers, and without what lines that begin so show besides. */
const wordsOf = (text: string, ...varying: ReadonlyArray<string>) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map(
      (line) => varying.find((name) => line.startsWith(name)) ?? line.replaceAll(/[\d.]+/g, "0").replaceAll(/ +/g, " ")
    )

/** `orders watch` until an order changes, and then Ctrl-C. */
const watchByCommand = (folder: string, code: string, url: string, env: Record<string, string>) =>
  Effect.promise(async () => {
    const child = spawn("bash", ["-c", `exec ${code}`], { cwd: folder, env })
    const ended = once(child, "close")
    let output = ""
    child.stdout.on("data", (chunk) => {
      output += chunk
    })
    for (let id = 901; !output.includes("Completed"); id++) {
      await post(url, { order_id: id, user_id: 1, item_ids: [1], total_amount: 1 })
      await setTimeout(500)
    }
    child.kill("SIGINT")
    assert.deepStrictEqual(await ended, [130, null])
  })

/** Each call makes another key. */
const withoutKey = (text: string) => text.replace(/ord_[A-Za-z0-9]{32}\b/, "KEY").replace(/\b[0-9a-f]{64}\b/, "HASH")

/** What else runs a command that a document shows, by how its block begins. */
const runElsewhere: Record<string, string> = {
  "npm ci\nnpm start": ".ci/run",
  "npm ci\nnpm run check": ".ci/run; npm run dev: test/main.built.test.ts",
  "npm pack\nnpm i -g":
    "the package and an install of it: test/Package.built.test.ts; completions: test/cli/Help.built.test.ts",
  "orders migrate": "test/cli/Migrate.built.test.ts",
  "npm init -y": "test/Package.built.test.ts",
  "touch .env": "below",
  "npm run build\nsetsid -f": "below",
  "API_KEYS_FILE=keys": "below",
  "orders keys new --name ops": "test/cli/Keys.built.test.ts",
  "sudo install": "the unit: test/SystemdUnit.built.test.ts",
  "(umask 022; openssl": "the files: test/ComposePostgres.built.test.ts, test/ComposeScale.built.test.ts",
  "docker compose -f compose.scale.yaml": "the file: test/ComposeScale.built.test.ts",
  pg_dump: "test/store/postgres/Backup.built.test.ts",
  "docker compose -f compose.yaml": "the files: test/observe/Observability.built.test.ts",
  "prometheus --config.file": "promtool in test/observe/Observability.built.test.ts",
  OTEL_EXPORTER_OTLP_ENDPOINT: "test/observe/Telemetry.built.test.ts"
}
const isRunElsewhere = ({ code }: Step) => Object.keys(runElsewhere).some((begin) => code.startsWith(begin))

/** Follows a document: its requests and commands, with what it shows of the answers. At least so many are made. */
const follow = (file: string, atLeast: number, processingTime = "8 seconds") =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    // Longer than the shell takes from one command of a block to the next.
    const settings = { PROCESSING_TIME: processingTime, PROCESSING_JITTER: "0", SHUTDOWN_GRACE: "0 millis" }
    const first = yield* startService(folder, settings)
    const port = new URL(first.url).port
    const database = `file:${Path.join(folder, "data/orders.db")}`
    const env = { ...commandLine(folder), ORDERS_URL: first.url, DATABASE_URL: database }
    Fs.writeFileSync(Path.join(folder, "orders.ndjson"), `${JSON.stringify(aNewOrder(111))}\n`)
    let service: ServiceProcess = first
    const restart = Effect.fnUntraced(function* (settings: Record<string, string>, meanwhile: Effect.Effect<unknown>) {
      service.child.kill("SIGTERM")
      assert.strictEqual(yield* service.exited, 0)
      yield* meanwhile
      service = yield* startService(folder, { ...settings, PORT: port })
    })
    let run = 0
    for (const step of stepsOf(file)) {
      const code = step.code
        .replaceAll("127.0.0.1:3000", `127.0.0.1:${port}`)
        .replaceAll("npm run -s orders --", "orders")
        // A tenth of the shoppers shows the same.
        .replace("--orders 1000", "--orders 100")
        .replace("--concurrency 1000", "--concurrency 100")
      if (step.code.startsWith("PROCESSING_FAILURES")) {
        yield* restart({ ...settingsIn(code), PROCESSING_TIME: "50 millis" }, Effect.void)
      } else if (code.includes("curl -N")) yield* watch(folder, { ...step, code }, service.url)
      else if (code.startsWith("orders simulate")) {
        const output = yield* shell(folder, code, env)
        assert.include(output, "check           ok: every acknowledged order is there, unaltered, and ended once")
        const varying = ["run ", "sent again", "acceptance", "submitting", "last Completed"]
        if (step.answer !== undefined) {
          assert.deepStrictEqual(wordsOf(output, ...varying), wordsOf(step.answer, ...varying))
        }
      } else if (code.startsWith("orders keys new") && step.answer !== undefined) {
        assert.strictEqual(withoutKey(yield* shell(folder, code, env)), withoutKey(step.answer))
      } else if (code.startsWith("orders doctor")) {
        const output = yield* shell(folder, code, env)
        const varying = ["database ", "disk "]
        assert.deepStrictEqual(wordsOf(output, ...varying), wordsOf(step.answer ?? "", ...varying))
      } else if (code.startsWith("orders restore")) {
        const [backup = ""] = Fs.readdirSync(Path.join(folder, "backups"))
        const restore = shell(folder, code.replace(/orders-\w+\.db/, backup), env)
        yield* restart(settings, restore)
      } else if (/^orders /m.test(code)) {
        for (const line of code.split("\n").filter((line) => line !== "")) {
          if (line.startsWith("orders watch")) {
            // What follows waits for orders to end, and needs none that is still under way.
            yield* restart({ ...settings, PROCESSING_TIME: "1 second" }, Effect.void)
            yield* watchByCommand(folder, line, service.url, env)
          }
          // As there is no terminal to ask on.
          else yield* shell(folder, line.replace(/(orders retry --error-code \w+)/, "$1 --yes"), env)
        }
      } else if (code.includes(`127.0.0.1:${port}`) && code.includes("curl")) check(step, yield* shell(folder, code))
      else {
        assert.isTrue(isRunElsewhere(step), `nothing runs ${code}`)
        continue
      }
      run += 1
      yield* untilIdle(service.url)
    }
    assert.isAtLeast(run, atLeast)
  })

describe("the documents", () => {
  it.scopedLive("the README's commands give what it says, in their order", () => follow("README.md", 6))

  it.scopedLive("the commands of docs/api.md give what it says, in their order", () => follow("docs/api.md", 11))

  it.scopedLive("those of docs/operating.md do", () => follow("docs/operating.md", 3, "1 second"))

  it.scopedLive("those of docs/cli.md do", () => follow("docs/cli.md", 3, "15 seconds"))

  it("show no command that nothing runs", () => {
    const followed = ["README.md", "docs/api.md", "docs/operating.md", "docs/cli.md"]
    const others = documents.filter((file) => !followed.includes(file))
    assert.deepStrictEqual(others.flatMap(stepsOf).filter(Predicate.not(isRunElsewhere)), [])
  })

  it("link to files that are there, and to headings", () => {
    const links = documents.flatMap((file) =>
      Array.from(
        Fs.readFileSync(file, "utf8").matchAll(/\]\((?!https?:)([^)#]*)(#[^)]*)?\)/g),
        ([, path = "", heading = ""]) => ({
          file,
          target: path === "" ? file : Path.join(Path.dirname(file), path),
          heading: heading.slice(1)
        })
      )
    )
    assert.isAbove(links.length, 10)
    for (const { file, heading, target } of links) {
      assert.isTrue(Fs.existsSync(target), `${file}: ${target}`)
      if (heading === "") continue
      const document = Fs.readFileSync(target, "utf8")
      const headings = Array.from(document.matchAll(/^#+ (.*)$/gm), ([, text = ""]) =>
        text
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, "")
          .replaceAll(" ", "-")
      )
      const anchors = Array.from(document.matchAll(/^<a id="(.*)"><\/a>$/gm), ([, id = ""]) => id)
      assert.include([...headings, ...anchors], heading, file)
    }
  })

  it.scopedLive("makes the webhook's secret once, and the service finds it", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const [settings = "", start = ""] = stepWith("WEBHOOK_SECRET=").split(/^(?=PROCESSOR=)/m)
      const env = Path.join(folder, ".env")
      yield* shell(folder, settings)
      const made = Fs.readFileSync(env, "utf8")
      yield* shell(folder, settings)
      assert.strictEqual(Fs.readFileSync(env, "utf8"), made)
      assert.strictEqual(Fs.statSync(env).mode & 0o777, 0o600)
      const service = yield* startService(folder, { ...settingsIn(start), NODE_ENV: "development" })
      assert.strictEqual((yield* metricsOf(service.url)).processor, "webhook")
    })
  )

  it.scopedLive("makes a key, and the service takes it", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const start = stepWith("API_KEYS_FILE=keys")
      yield* shell(folder, stepWith("--json >shop.json").replace("npm run -s orders --", "orders"), commandLine(folder))
      const { HOST: _, ...settings } = settingsIn(start)
      const service = yield* startService(folder, settings)
      const { key }: { key: string } = JSON.parse(Fs.readFileSync(Path.join(folder, "shop.json"), "utf8"))
      const code = stepWith("/api/key").replace("http://127.0.0.1:3000", service.url)
      assert.include(yield* shell(folder, code, { ORDERS_API_KEY: key }), '"name":"shop"')
    })
  )

  it.scopedLive.skipIf(process.platform !== "linux")("keeps it running in a session of its own", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const code = stepWith("setsid")
        .replace("npm run build\n", "")
        .replace(
          "node --max-semi-space-size=32 dist/main.js",
          `'${process.execPath}' '${Path.resolve("dist/main.js")}'`
        )
      const read = (name: string) => Fs.readFileSync(Path.join(folder, name), "utf8")
      yield* shell(
        folder,
        code.replace(/sh -c '(.*)' >>/, (_, inner) => `sh -c "${inner.replaceAll("$", "\\$")}" >>`),
        {
          PORT: "0"
        }
      )
      const isThere = Effect.sync(
        () => Fs.existsSync(Path.join(folder, "orders.log")) && /Listening/.test(read("orders.log"))
      )
      yield* Effect.repeat(Effect.delay(isThere, "50 millis"), { until: (there) => there })
      const pid = Number(read("orders.pid"))
      yield* Effect.addFinalizer(() => Effect.ignore(Effect.try(() => process.kill(pid, "SIGKILL"))))
      const session = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ")[3]
      assert.strictEqual(Number(session), pid)
      yield* shell(folder, "kill $(cat orders.pid)")
      const isGone = Effect.sync(() => !Fs.existsSync(`/proc/${pid}`))
      yield* Effect.repeat(Effect.delay(isGone, "50 millis"), { until: (gone) => gone })
    })
  )
})
