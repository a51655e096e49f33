import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Yaml from "yaml"
import { answerOf, Starting } from "../src/api/Problems.ts"
import { enginePackages, idOf } from "../supply/Packages.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "./support/Postgres.ts"
import { run } from "./support/Run.ts"
import { aNewOrder, post, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

const Environment = Schema.Record({ key: Schema.String, value: Schema.String })
const confined = {
  read_only: Schema.Literal(true),
  cap_drop: Schema.Tuple(Schema.Literal("ALL")),
  security_opt: Schema.Tuple(Schema.Literal("no-new-privileges:true")),
  mem_limit: Schema.String,
  pids_limit: Schema.Int,
  restart: Schema.Literal("unless-stopped")
}
const nodeFields = {
  ...confined,
  image: Schema.Literal("orders-pg-boss"),
  build: Schema.Struct({ context: Schema.Literal("."), args: Schema.Struct({ QUEUE: Schema.Literal("pg-boss") }) }),
  init: Schema.Literal(true),
  tmpfs: Schema.Tuple(Schema.Literal("/data")),
  environment: Environment,
  secrets: Schema.Array(Schema.String),
  depends_on: Schema.Struct({ postgres: Schema.Struct({ condition: Schema.Literal("service_healthy") }) }),
  stop_grace_period: Schema.String
}
const Node = Schema.Struct(nodeFields)
const NamedNode = Schema.Struct({ ...nodeFields, hostname: Schema.String })
const extending = <File extends string, Service extends string>(file: File, service: Service) => ({
  extends: Schema.Struct({ file: Schema.Literal(file), service: Schema.Literal(service) })
})
const Compose = Schema.Struct({
  "x-environment": Environment,
  "x-node": Schema.Struct({ ...nodeFields, environment: Schema.optional(Environment) }),
  "x-api": Node,
  "x-worker": Node,
  services: Schema.Struct({
    "api-1": NamedNode,
    "api-2": NamedNode,
    "worker-1": NamedNode,
    "worker-2": NamedNode,
    balancer: Schema.Struct({
      ...confined,
      image: Schema.String.pipe(Schema.pattern(/^haproxy:\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$/)),
      ports: Schema.Tuple(Schema.Literal("127.0.0.1:3000:3000")),
      volumes: Schema.Array(Schema.String),
      depends_on: Schema.Array(Schema.String)
    }),
    postgres: Schema.Struct(extending("compose.postgres.yaml", "postgres")),
    prometheus: Schema.Struct({
      ...extending("compose.observability.yaml", "prometheus"),
      volumes: Schema.Array(Schema.String)
    }),
    grafana: Schema.Struct({
      ...extending("compose.observability.yaml", "grafana"),
      environment: Environment,
      volumes: Schema.Array(Schema.String)
    })
  }),
  secrets: Schema.Record({ key: Schema.String, value: Schema.Struct({ file: Schema.String }) }),
  volumes: Schema.Record({ key: Schema.String, value: Schema.Null })
})

// What it does not know, such as a port that is published, is refused.
const { secrets, services, volumes } = Schema.decodeUnknownSync(Compose, { onExcessProperty: "error" })(
  Yaml.parse(Fs.readFileSync("compose.scale.yaml", "utf8"), { merge: true })
)
const nodes = Object.entries(services).flatMap(([name, service]) => ("build" in service ? [{ name, ...service }] : []))

const volumesOf = (file: string): Record<string, unknown> => Yaml.parse(Fs.readFileSync(file, "utf8")).volumes
const balancerFile = "examples/haproxy/haproxy.cfg"
const balancer = Fs.readFileSync(balancerFile, "utf8")

describe("compose.scale.yaml", () => {
  it("gives the nodes and the server the password by a file that git does not know", () => {
    for (const { environment, name, secrets: given } of nodes) {
      assert.deepStrictEqual(given, Object.keys(secrets), name)
      assert.strictEqual(environment.DATABASE_PASSWORD_FILE, `/run/secrets/${given[0]}`, name)
    }
    for (const { file } of Object.values(secrets)) {
      assert.include(Fs.readFileSync(".gitignore", "utf8").split("\n"), Path.basename(file))
    }
  })

  it("has the volumes of what it extends, and mounts files that are there", () => {
    assert.deepStrictEqual(volumes, {
      ...volumesOf("compose.postgres.yaml"),
      ...volumesOf("compose.observability.yaml")
    })
    const mounted = [services.balancer, services.prometheus, services.grafana].flatMap(({ volumes }) => volumes)
    for (const volume of mounted) assert.isTrue(Fs.existsSync(volume.split(":")[0] ?? ""), volume)
  })

  it("has the load balancer ask each node that takes orders, and Prometheus each node, by names that nodes answer to", () => {
    const taking = nodes.filter(({ environment }) => environment.ROLE !== "worker").map(({ name }) => name)
    const asked = Array.from(balancer.matchAll(/^ {2}server (\S+) (\S+)$/gm), ([, name, address]) => {
      assert.strictEqual(address, `${name}:3000`)
      return name
    })
    assert.deepStrictEqual(asked, taking)
    assert.deepStrictEqual(services.balancer.depends_on, taking)
    const { scrape_configs } = Yaml.parse(Fs.readFileSync("observability/prometheus.scale.yml", "utf8"))
    assert.deepStrictEqual(
      scrape_configs[0].static_configs[0].targets,
      nodes.map(({ name }) => `${name}:3000`)
    )
    for (const { environment, hostname, name } of nodes) {
      assert.strictEqual(hostname, name)
      assert.strictEqual(environment.ALLOWED_HOSTS, nodes.map(({ name }) => name).join(","))
    }
  })
})

const hasHaproxy = (() => {
  try {
    return execFileSync("haproxy", ["-v"], { env: { PATH: `${process.env.PATH}:/usr/sbin` } }).length > 0
  } catch {
    return false
  }
})()

describe("the load balancer", () => {
  it("answers as a node that starts where none is ready", () => {
    const [, text = "", retryAfter] =
      /^ {2}http-error status 503 content-type application\/problem\+json string '(.*)' hdr Retry-After (\d+)$/m.exec(
        balancer
      ) ?? []
    const starting = answerOf(new Starting({ retry_after: 1 }))
    assert.strictEqual(starting.status, 503)
    assert.deepStrictEqual(JSON.parse(text), JSON.parse(starting.text))
    assert.strictEqual(retryAfter, starting.headers["retry-after"])
  })

  it.skipIf(!hasHaproxy)(`can read its configuration${hasHaproxy ? "" : " (no haproxy found)"}`, () => {
    execFileSync("haproxy", ["-c", "-q", "-f", balancerFile], {
      env: { PATH: `${process.env.PATH}:/usr/sbin` },
      stdio: ["ignore", "ignore", "pipe"]
    })
  })
})

describe("the image for QUEUE=pg-boss", () => {
  const schemas = postgresSchemas()

  it.scopedLive.skipIf(!hasPostgres)(`has the nodes of compose.scale.yaml work together${unlessPostgres}`, () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const image = Path.join(folder, "image")
      yield* run(".", process.execPath, ["--import", "tsx", "supply/image.ts", image, "pg-boss"])
      for (const { folder } of enginePackages()) {
        assert.isTrue(Fs.existsSync(Path.join(image, Path.relative("", folder), "package.json")), folder)
      }
      const sbom = Fs.readFileSync(Path.join(image, "sbom.cdx.json"), "utf8")
      for (const id of enginePackages().map(idOf)) assert.include(sbom, `"bom-ref":"${id}"`)

      const url = yield* schemas
      const start = (name: "api-1" | "worker-1") => {
        const { DATABASE_PASSWORD_FILE: _, ...environment } = services[name].environment
        const settings = { ...environment, DATABASE_URL: url, PORT: "0", PROCESSING_TIME: "1 millis" }
        return startService(folder, settings, Path.join(image, "dist/main.js"))
      }
      const [api, worker] = yield* Effect.all([start("api-1"), start("worker-1")], { concurrency: "unbounded" })
      assert.strictEqual((yield* Effect.promise(() => post(worker.url, aNewOrder(1)))).status, 421)
      assert.strictEqual((yield* Effect.promise(() => post(api.url, aNewOrder(1)))).status, 202)
      yield* until(async () => (await (await fetch(`${worker.url}/api/order/1`)).text()).includes('"Completed"'))
    })
  )
})
