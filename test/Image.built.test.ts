import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Yaml from "yaml"
import packageJson from "../package.json" with { type: "json" }
import { productionOf } from "../supply/Licence.ts"
import { bundledPackages, idOf, loadedPackages } from "../supply/Packages.ts"
import { answer, startEndpoint } from "./support/Endpoint.ts"
import { execute, run } from "./support/Run.ts"
import { aNewOrder, failToStart, post, startService } from "./support/ServiceProcess.ts"
import { copyOf, temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

const driver = process.version.startsWith("v20.")
  ? ["better-sqlite3", "better-sqlite3-12", "bindings", "file-uri-to-path"]
  : ["better-sqlite3", "better-sqlite3-13"]

/** What the image has in its folder, in a folder of its own. */
const imageFolder = copyOf(
  Effect.gen(function* () {
    const folder = Path.join(yield* temporaryFolder, "image")
    yield* run(".", process.execPath, ["--import", "tsx", "supply/image.ts", folder])
    return folder
  })
)

const filesIn = (folder: string) =>
  Fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => Path.relative(folder, Path.join(entry.parentPath, entry.name)))

/** A receiver of traces and metrics: the paths it was sent something at. */
const startReceiver = Effect.gen(function* () {
  const paths = new Set<string>()
  const server = yield* Effect.acquireRelease(
    Effect.async<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        paths.add(request.url ?? "")
        request.resume().on("end", () => response.end("{}"))
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const address = server.address()
  return { paths, url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}` }
})

const Sbom = Schema.Struct({
  bomFormat: Schema.Literal("CycloneDX"),
  metadata: Schema.Struct({ component: Schema.Struct({ name: Schema.String, version: Schema.String }) }),
  components: Schema.Array(
    Schema.Struct({ "bom-ref": Schema.String, purl: Schema.String, licenses: Schema.NonEmptyArray(Schema.Unknown) })
  ),
  dependencies: Schema.Array(Schema.Struct({ ref: Schema.String, dependsOn: Schema.Array(Schema.String) }))
})

describe("what the image has", () => {
  it.scopedLive("is the bundles, the driver with what that loads, and nothing else", () =>
    Effect.gen(function* () {
      const folder = yield* imageFolder
      assert.sameMembers(Fs.readdirSync(Path.join(folder, "node_modules")), driver)
      const files = filesIn(folder)
      const bundles = files.filter((file) => /^dist\/(chunks|dashboard)\/[\w-]+\.(js|css|html|svg)$/.test(file))
      assert.isNotEmpty(bundles)
      const loaded = files.filter((file) =>
        /^node_modules\/[\w-]+\/(package\.json|LICENSE(\.md)?|\w+\.js|lib\/.*\.js|.*\.node)$/.test(file)
      )
      assert.lengthOf(
        loaded.filter((file) => file.endsWith(".node")),
        1
      )
      assert.sameMembers(
        files.filter((file) => !bundles.includes(file) && !loaded.includes(file)),
        ["LICENSE", "dist/THIRD_PARTY_LICENSES.txt", "dist/cli.js", "dist/main.js", "package.json", "sbom.cdx.json"]
      )
    })
  )

  for (const protocol of ["http/json", "http/protobuf"]) {
    it.scopedLive(`takes an order to the webhook, with traces as ${protocol}, and shows its pages`, () =>
      Effect.gen(function* () {
        const image = yield* imageFolder
        const shop = yield* startEndpoint(answer(200))
        const receiver = yield* startReceiver
        const settings = {
          PROCESSOR: "webhook",
          WEBHOOK_URL: shop.url.href,
          WEBHOOK_SECRET: Buffer.alloc(24).toString("base64"),
          OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
          OTEL_EXPORTER_OTLP_PROTOCOL: protocol
        }
        const folder = yield* temporaryFolder
        const service = yield* startService(folder, settings, Path.join(image, "dist/main.js"))
        assert.strictEqual((yield* Effect.promise(() => post(service.url, aNewOrder(1)))).status, 202)
        yield* until(async () => (await (await fetch(`${service.url}/api/order/1`)).text()).includes('"Completed"'))
        assert.lengthOf(shop.requests, 1)
        for (const path of ["/", "/dashboard/main.js", "/docs", "/openapi.json", "/metrics"]) {
          assert.strictEqual((yield* Effect.promise(() => fetch(service.url + path))).status, 200, path)
        }
        service.child.kill("SIGTERM")
        assert.strictEqual(yield* service.exited, 0)
        assert.sameMembers([...receiver.paths], ["/v1/traces", "/v1/metrics"])
      })
    )
  }

  it.scopedLive("runs the command line: on a service, and on a database", () =>
    Effect.gen(function* () {
      const image = yield* imageFolder
      const folder = yield* temporaryFolder
      const orders = (...args: ReadonlyArray<string>) =>
        run(folder, process.execPath, [Path.join(image, "dist/cli.js"), ...args], { NODE_ENV: "production" })
      assert.include(yield* orders("--version"), packageJson.version)
      const service = yield* startService(folder, { PROCESSING_TIME: "1 millis" }, Path.join(image, "dist/main.js"))
      yield* Effect.promise(() => post(service.url, aNewOrder(1)))
      assert.include(yield* orders("list", "--url", service.url), "9.99")
      yield* orders("backup", "copy.db")
      service.child.kill("SIGTERM")
      assert.strictEqual(yield* service.exited, 0)
      assert.include(yield* orders("restore", "copy.db"), "copy.db")
      assert.match(yield* orders("doctor"), /ok/)
    })
  )

  it.scopedLive("is listed in its bill of materials, the packages in the bundles too, and no other", () =>
    Effect.gen(function* () {
      const text = Fs.readFileSync(Path.join(yield* imageFolder, "sbom.cdx.json"), "utf8")
      const { components, dependencies, metadata } = yield* Schema.decode(Schema.parseJson(Sbom))(text)
      assert.deepInclude(metadata.component, { name: packageJson.name, version: packageJson.version })
      const refs = components.map((component) => component["bom-ref"])
      assert.sameMembers(refs, [...bundledPackages(), ...loadedPackages()].map(idOf))
      const { dependencies: direct, devDependencies, optionalDependencies } = packageJson
      const [, version] =
        optionalDependencies[process.version.startsWith("v20.") ? "better-sqlite3-12" : "better-sqlite3-13"].split("@")
      assert.includeMembers(refs, [
        `effect@${direct.effect}`,
        `uplot@${direct.uplot}`,
        `prom-client@${direct["prom-client"]}`,
        `better-sqlite3@${version}`
      ])
      const names = refs.map((ref) => ref.replace(/@[^@]*$/, ""))
      const never = ["prebuild-install", "node-addon-api", "@parcel/watcher", "msgpackr"]
      for (const name of [...Object.keys(devDependencies), ...never].filter((name) => name !== "better-sqlite3")) {
        assert.notInclude(names, name)
      }
      for (const { purl } of components) assert.match(purl, /^pkg:npm\//)
      for (const ref of dependencies.flatMap(({ dependsOn }) => dependsOn)) assert.include(refs, ref)
    })
  )

  it("is all of production", () => {
    const known = productionOf(JSON.parse(Fs.readFileSync("package-lock.json", "utf8"))).map(
      ([path, { name, version }]) => `${name ?? path.replace(/^.*node_modules\//, "")}@${version}`
    )
    assert.includeMembers(known, [...bundledPackages(), ...loadedPackages()].map(idOf))
  })

  it("carries the licences of what is in the bundles", () => {
    const text = Fs.readFileSync("dist/THIRD_PARTY_LICENSES.txt", "utf8")
    const sections = text.split(`\n${"-".repeat(80)}\n\n`).slice(1)
    assert.sameMembers(
      sections.map((section) => section.split(" (")[0]),
      bundledPackages().map(idOf)
    )
    for (const section of sections) {
      assert.match(section, /Permission is hereby granted|Permission to use|Apache License\s+Version 2\.0/, section)
    }
    assert.include(text, "Copyright (c) 2023 Effectful Technologies Inc")
  })
})

const Compose = Schema.Struct({
  services: Schema.Record({
    key: Schema.String,
    value: Schema.Struct({
      mem_limit: Schema.Literal("1g"),
      pids_limit: Schema.Int,
      cap_drop: Schema.Tuple(Schema.Literal("ALL")),
      security_opt: Schema.Tuple(Schema.Literal("no-new-privileges:true")),
      ports: Schema.Array(Schema.String.pipe(Schema.startsWith("127.0.0.1:"))),
      read_only: Schema.optional(Schema.Literal(true)),
      environment: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.String }))
    })
  })
})

const servicesOf = (file: string) =>
  Schema.decodeUnknownSync(Compose)(Yaml.parse(Fs.readFileSync(file, "utf8"))).services

const dockerfile = Fs.readFileSync("Dockerfile", "utf8")
const stage = dockerfile.slice(dockerfile.lastIndexOf("FROM "))

describe("the Dockerfile", () => {
  it("takes each stage from one image, pinned by version and digest", () => {
    const images = Array.from(dockerfile.matchAll(/^FROM (\S+)/gm), ([, image]) => image)
    assert.lengthOf(images, 2)
    assert.strictEqual(new Set(images).size, 1)
    assert.match(images[0] ?? "", /^node:\d+\.\d+\.\d+-slim@sha256:[0-9a-f]{64}$/)
  })

  it("puts into the image only what `npm run image` lays out", () => {
    assert.deepStrictEqual(stage.match(/^COPY .*$/gm), ["COPY --from=build /image ./"])
    assert.notMatch(stage, /^(ADD|RUN .*(npm (ci|i)|apt))/m)
    assert.include(dockerfile, "npm run build && npm run image -- /image")
  })

  it("runs as node, as npm starts it, with the orders in a folder for that user alone", () => {
    assert.include(stage, "install -d -m 700 -o node -g node /data")
    assert.include(stage, "\nUSER node\n")
    const [, command = ""] = /^CMD (.*)$/m.exec(stage) ?? []
    assert.isTrue(packageJson.scripts.start.endsWith(`exec ${JSON.parse(command).join(" ")}`))
  })

  it.scopedLive("starts nothing that is open to others; compose does, for this machine", () =>
    Effect.gen(function* () {
      const [, given = ""] = /^ENV (.*)$/m.exec(stage) ?? []
      const folder = yield* temporaryFolder
      const image = {
        ...Object.fromEntries(given.split(" ").map((pair) => pair.split("="))),
        DATABASE_URL: "file:orders.db"
      }
      assert.strictEqual(image.HOST, "0.0.0.0")
      const { code, stderr } = yield* failToStart(folder, image)
      assert.strictEqual(code, 1)
      assert.match(stderr, /^HOST: [^\n]*API_KEYS_FILE[^\n]*\n$/)
      const { environment } = servicesOf("compose.yaml").orders ?? {}
      const service = yield* startService(folder, { ...image, ...environment })
      assert.strictEqual((yield* Effect.promise(() => post(service.url, aNewOrder(1)))).status, 202)
    })
  )

  it.scopedLive("has a health check that looks at the service", () =>
    Effect.gen(function* () {
      const [, check = ""] = /^HEALTHCHECK .* CMD (.*)$/m.exec(stage) ?? []
      const [, ...args]: ReadonlyArray<string> = JSON.parse(check)
      const { url } = yield* startService(yield* temporaryFolder)
      yield* run(".", process.execPath, args, { PORT: new URL(url).port })
      const failed = yield* Effect.promise(() =>
        execute(process.execPath, [...args], { env: { PORT: "1" } }).then(
          () => false,
          () => true
        )
      )
      assert.isTrue(failed)
    })
  )

  it("finds what it copies, which .dockerignore lets through", () => {
    const sources = Array.from(dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm), ([, sources = ""]) =>
      sources.split(" ")
    )
    const letThrough = Array.from(Fs.readFileSync(".dockerignore", "utf8").matchAll(/^!(.*)$/gm), ([, path]) => path)
    assert.sameMembers(sources.flat(), letThrough)
    for (const path of sources.flat()) assert.isTrue(Fs.existsSync(path), path)
  })
})

describe("the compose files", () => {
  it("limit memory and processes, drop every right, and publish on loopback only", () => {
    assert.hasAllKeys(servicesOf("compose.yaml"), ["orders"])
    assert.hasAllKeys(servicesOf("compose.observability.yaml"), ["prometheus", "grafana"])
  })

  it("start a service whose heap ends before the limit of its memory", () => {
    const { environment, pids_limit, read_only } = servicesOf("compose.yaml").orders ?? {}
    assert.strictEqual(environment?.NODE_OPTIONS, "--max-old-space-size=512")
    assert.isTrue(read_only)
    assert.isAbove(pids_limit ?? 0, 50)
  })
})
