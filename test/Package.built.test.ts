import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option, Schedule, Schema } from "effect"
import * as Esbuild from "esbuild"
import packageJson from "../package.json" with { type: "json" }
import { Order, OrderId } from "../src/order/Order.ts"
import { execute, run } from "./support/Run.ts"
import { startService } from "./support/ServiceProcess.ts"
import { clientOf, newOrder, temporaryFolder } from "./support/TestLayers.ts"

const madeHere = new Set(["node_modules", ".git", "dist", "data", "coverage"])
const isSource = (path: string) => !madeHere.has(Path.basename(path))

const bundled = "@effect/sql-sqlite-node"

/** The installed packages as links, but for those that are packed with ours: npm leaves out what is outside of the folder. */
const provideModules = async (modules: string) => {
  await Fs.mkdir(Path.join(modules, "@effect"), { recursive: true })
  const names = [
    ...(await Fs.readdir("node_modules")),
    ...(await Fs.readdir("node_modules/@effect")).map((name) => `@effect/${name}`)
  ]
  for (const name of names.filter(
    (name) => !["@effect", bundled, "better-sqlite3", ".package-lock.json"].includes(name)
  )) {
    await Fs.symlink(Path.resolve("node_modules", name), Path.join(modules, name))
  }
  await Fs.cp(Path.join("node_modules", bundled), Path.join(modules, bundled), { recursive: true })
  await Fs.symlink("../driver", Path.join(modules, "better-sqlite3"))
}

/** The example's folder, with the package installed from its tarball as a user would install it. */
class Installed extends Context.Tag("test/Installed")<Installed, string>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const installed = yield* temporaryFolder
      yield* Effect.promise(() => Fs.cp("examples/warehouse", installed, { recursive: true, filter: isSource }))

      // Packed in a copy: packing builds, and other tests run what is in dist.
      const copy = yield* temporaryFolder
      yield* Effect.promise(async () => {
        await Fs.cp(".", copy, { recursive: true, filter: isSource })
        await provideModules(Path.join(copy, "node_modules"))
      })
      yield* run(copy, "npm", ["pack", "--pack-destination", installed])

      // Without its script the native module of Node 20 is not compiled, which would take minutes: it is taken from here.
      yield* run(installed, "npm", ["install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"])
      const binary = "node_modules/better-sqlite3-12/build/Release/better_sqlite3.node"
      if (process.version.startsWith("v20.")) yield* Effect.promise(() => Fs.cp(binary, Path.join(installed, binary)))
      // Compiling it each time that it is run would take as long as all that it does.
      yield* Effect.promise(() =>
        Esbuild.build({
          absWorkingDir: installed,
          entryPoints: ["submit.ts"],
          outfile: "submit.js",
          format: "esm",
          platform: "node"
        })
      )
      return installed
    })
  )
}

/** Hands an order in with the example's client, made JavaScript, and gives the order as that prints it. */
const submit = (folder: string, url: string, order_id: number, ...items: ReadonlyArray<string>) =>
  run(folder, process.execPath, ["submit.js", String(order_id), ...items], { ORDERS_URL: url }).pipe(
    Effect.flatMap(Schema.decode(Schema.parseJson(Order.json)))
  )

const isReachable = await execute("npm", ["view", "effect", "name", "--fetch-retries=0"]).then(
  () => true,
  () => false
)

describe.skipIf(!isReachable)(`the package${isReachable ? "" : " (npm reaches no registry)"}`, () => {
  layer(Installed.layer, { timeout: "15 minutes", excludeTestServices: true })((it) => {
    it.effect("holds what was built, the SQLite client, the README and the licence, and nothing else", () =>
      Effect.gen(function* () {
        const root = Path.join(yield* Installed, "node_modules/@order-backend/orders")
        const entries = yield* Effect.promise(() => Fs.readdir(root, { recursive: true, withFileTypes: true }))
        const files = entries
          .filter((entry) => entry.isFile())
          .map((entry) => Path.relative(root, Path.join(entry.parentPath, entry.name)))
        const built = files.filter(
          (file) =>
            /^dist\/lib\/(\w+\/)*\w+(\.js|\.d\.ts)$/.test(file) ||
            /^dist\/(chunks|dashboard)\/[\w-]+\.(js|css|html|svg)$/.test(file) ||
            file.startsWith(`node_modules/${bundled}/`)
        )
        assert.isNotEmpty(built)
        assert.sameMembers(
          files.filter((file) => !built.includes(file)),
          [
            "LICENSE",
            "README.md",
            "dist/THIRD_PARTY_LICENSES.txt",
            "dist/cli.js",
            "dist/main.js",
            "node_modules/better-sqlite3/index.js",
            "node_modules/better-sqlite3/package.json",
            "package.json"
          ]
        )
      })
    )

    it.effect("brings its types: the example and the documents pass them, and wrong uses do not", () =>
      Effect.gen(function* () {
        const folder = yield* Installed
        // A directive that has no error below it is an error.
        const misuse = `
          import { Effect, Layer } from "effect"
          import * as Client from "@order-backend/orders/Client"
          import { launch } from "@order-backend/orders/Launch"
          import { OrderEvent } from "@order-backend/orders/OrderEvent"
          import { OrderProcessor } from "@order-backend/orders/OrderProcessor"
          export const processor = {
            ready: Effect.void,
            process: () => Effect.fail("none of the three errors")
          }
          // @ts-expect-error
          export const WrongLive = Layer.succeed(OrderProcessor, processor)
          // @ts-expect-error
          export const notALayer = () => launch(processor)
          export const found = Effect.flatMap(Client.make({ baseUrl: "http://127.0.0.1" }), (client) =>
            // @ts-expect-error
            client.orders.find({ path: { order_id: 101 }, urlParams: {} })
          )
          // @ts-expect-error
          export const attempts = (event: OrderEvent): string => event.attempts
          // @ts-expect-error
          export * as Internal from "@order-backend/orders/Sql"
        `
        const texts = yield* Effect.promise(() =>
          Promise.all(["docs/api.md", "docs/processors.md"].map((file) => Fs.readFile(file, "utf8")))
        )
        const snippets = Array.from(texts.join("\n").matchAll(/^```ts\n(.*?)^```$/gms), ([, code = ""]) => code)
        assert.isAtLeast(snippets.length, 2)
        for (const [index, code] of [misuse, ...snippets].entries()) {
          yield* Effect.promise(() => Fs.writeFile(Path.join(folder, `checked-${index}.ts`), code))
        }
        yield* run(folder, process.execPath, ["node_modules/typescript/bin/tsc"])
      })
    )

    it.scoped("runs the processor of the documents as they say", () =>
      Effect.gen(function* () {
        const folder = yield* Installed
        const text = yield* Effect.promise(() => Fs.readFile("docs/processors.md", "utf8"))
        const { dependencies, devDependencies, version } = packageJson
        const install = `npm install ../orders/order-backend-orders-${version}.tgz effect@${dependencies.effect} tsx@${devDependencies.tsx}`
        assert.include(text, `\n${install}\nnpx tsx greeting.ts\n`)
        const [, code = ""] = /^```ts\n((?:(?!^```).)*GreetingLive.*?)^```$/ms.exec(text) ?? []
        yield* Effect.promise(() => Fs.writeFile(Path.join(folder, "greeting.ts"), code))
        const settings = { NODE_OPTIONS: "--import tsx", DATABASE_URL: "file:greeting.db" }
        const service = yield* startService(folder, settings, Path.join(folder, "greeting.ts"))
        const { result, status } = yield* submit(folder, service.url, 1, "1001")
        assert.deepStrictEqual([status, result], ["Completed", Option.some({ parcel: "1:1" })])
      })
    )

    it.effect("has a client that is the contract only, and runs in a browser", () =>
      Effect.gen(function* () {
        const folder = yield* Installed
        const { metafile } = yield* Effect.promise(() =>
          Esbuild.build({
            stdin: { contents: 'export * from "@order-backend/orders/Client"', resolveDir: folder },
            absWorkingDir: folder,
            bundle: true,
            format: "esm",
            platform: "browser",
            write: false,
            metafile: true,
            logLevel: "silent"
          })
        )
        const inputs = Object.keys(metafile.inputs)
        assert.sameMembers(
          inputs.filter((file) => file.startsWith("node_modules/@order-backend/orders/")),
          [
            ...[
              "Access",
              "Answers",
              "Api",
              "BodyRules",
              "Change",
              "Client",
              "Documented",
              "EventBlocks",
              "Filters",
              "Heartbeat",
              "HistoryEndpoints",
              "InvalidRequest",
              "Numbers"
            ],
            ...["OrderEvent", "Problem", "Problems", "Scope", "StreamLimits", "Time", "Version"],
            ...["../order/Order", "../order/OrderChange"]
          ].map((name) => Path.join("node_modules/@order-backend/orders/dist/lib/api", `${name}.js`))
        )
        assert.isEmpty(inputs.filter((file) => /better-sqlite3|platform-node|Sqlite/.test(file)))
      })
    )

    it.scoped(
      "runs the service with the example's processor, and its client against that",
      () =>
        Effect.gen(function* () {
          const folder = yield* Installed
          const lists = Path.join(folder, "lists")
          yield* Effect.promise(() => Fs.mkdir(Path.join(lists, "picked"), { recursive: true }))
          yield* Effect.promise(() => Fs.writeFile(Path.join(lists, "picked/3~1.json"), "{}"))
          const service = yield* startService(
            folder,
            { NODE_OPTIONS: "--import tsx", WAREHOUSE_FOLDER: "lists", RETRY_BASE: "100 millis" },
            Path.join(folder, "main.ts")
          )

          const api = yield* clientOf(service.url)
          const find = (id: string, wait: number) =>
            api.orders.find({ path: { order_id: OrderId.make(id) }, urlParams: { wait } })

          const [good, bad] = yield* Effect.all(
            [
              submit(folder, service.url, 1, "tray-oak", "1001", "tray-oak"),
              submit(folder, service.url, 2, "1001", "7", "constructor")
            ],
            { concurrency: "unbounded" }
          )
          assert.strictEqual(good.status, "Completed")
          assert.deepStrictEqual(good.result, Option.some({ file: "1~1.json" }))
          const list = yield* Effect.promise(() => Fs.readFile(Path.join(lists, "1~1.json"), "utf8"))
          assert.deepStrictEqual(JSON.parse(list), {
            order_id: "1",
            lines: [
              { item_id: "1001", quantity: 1, name: "Mug, blue", bin: "A-01" },
              { item_id: "tray-oak", quantity: 2, name: "Tray, oak", bin: "C-17" }
            ]
          })
          assert.strictEqual(bad.status, "Failed")
          assert.strictEqual(bad.attempts, 1)
          assert.deepStrictEqual(
            Option.map(bad.last_error, ({ code, message }) => ({ code, message })),
            Option.some({ code: "not_in_catalogue", message: "Not in the catalogue: 7, constructor" })
          )

          yield* api.orders.submit({ payload: newOrder(3, { item_ids: [1001] }) })
          assert.strictEqual((yield* find("3", 30)).status, "Completed")

          const away = `${lists}-away`
          yield* Effect.promise(() => Fs.rename(lists, away))
          const waiting = yield* Effect.fork(submit(folder, service.url, 4, "1002"))
          yield* find("4", 0).pipe(
            Effect.map(({ last_error }) => Option.exists(last_error, ({ code }) => code === "warehouse_folder")),
            Effect.orElseSucceed(() => false),
            Effect.repeat({ until: (failed) => failed, schedule: Schedule.spaced("50 millis") })
          )
          yield* Effect.promise(() => Fs.rename(away, lists))
          const late = yield* Fiber.join(waiting)
          assert.strictEqual(late.status, "Completed")
          assert.isAbove(late.attempts, 1)

          const left = yield* Effect.promise(() => Fs.readdir(lists))
          assert.sameMembers(left, ["1~1.json", "4~1.json", "picked"])
          service.child.kill("SIGTERM")
          assert.strictEqual(yield* service.exited, 0)
        }).pipe(Effect.provide(NodeHttpClient.layer)),
      300_000
    )
  })
})
