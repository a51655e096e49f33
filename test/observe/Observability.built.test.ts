import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Yaml from "yaml"
import { hasPromtool, promtool, unlessPromtool } from "../support/Promtool.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

const read = (path: string) => Fs.readFileSync(path, "utf8")

/** The data source that is chosen in Grafana: which one it is there, nobody here knows. */
const DataSource = Schema.Struct({ type: Schema.Literal("prometheus"), uid: Schema.Literal(`\${datasource}`) })

/** What is used of Grafana's dashboard format. */
const Dashboard = Schema.Struct({
  uid: Schema.NonEmptyString,
  title: Schema.NonEmptyString,
  schemaVersion: Schema.Int,
  templating: Schema.Struct({
    list: Schema.Tuple(
      Schema.Struct({
        name: Schema.Literal("datasource"),
        type: Schema.Literal("datasource"),
        query: Schema.Literal("prometheus")
      }),
      Schema.Struct({
        name: Schema.Literal("job"),
        type: Schema.Literal("query"),
        datasource: DataSource,
        definition: Schema.Literal("label_values(orders_ready, job)")
      })
    )
  }),
  panels: Schema.Array(
    Schema.Struct({
      id: Schema.Int,
      type: Schema.Literal("row", "stat", "timeseries"),
      title: Schema.NonEmptyString,
      datasource: Schema.optional(DataSource),
      gridPos: Schema.Struct({ x: Schema.Int, y: Schema.Int, w: Schema.Int, h: Schema.Int }),
      targets: Schema.optional(
        Schema.Array(
          Schema.Struct({
            refId: Schema.NonEmptyString,
            expr: Schema.NonEmptyString,
            datasource: DataSource
          })
        )
      )
    })
  )
})

const Rules = Schema.Struct({
  groups: Schema.Array(
    Schema.Struct({ rules: Schema.Array(Schema.Struct({ alert: Schema.String, expr: Schema.String })) })
  )
})

const Services = Schema.Struct({
  services: Schema.Record({
    key: Schema.String,
    value: Schema.Struct({
      image: Schema.optional(Schema.String),
      ports: Schema.Array(Schema.String),
      volumes: Schema.Array(Schema.String)
    })
  })
})

const dashboards = ["orders", "fleet"].map((name) =>
  Schema.decodeUnknownSync(Schema.parseJson(Dashboard))(read(`observability/grafana/${name}.json`))
)
const queries = dashboards.flatMap(({ panels }) =>
  panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
)
const alerts = ["alerts", "fleet"].flatMap((name) => {
  const { groups } = Schema.decodeUnknownSync(Rules)(Yaml.parse(read(`observability/${name}.yml`)))
  return groups.flatMap(({ rules }) => rules)
})
const conditions = alerts.map(({ expr }) => expr)

/** The metrics that an expression names. */
const metricsIn = (expr: string) =>
  expr.replaceAll(/\{[^}]*\}|\b(?:by|on|without)\s*\([^)]*\)/g, "").match(/\b(?:orders|http|process|nodejs)_\w+/g) ?? []

describe("the dashboards and the alerts", () => {
  it.scopedLive("name only metrics that the service has", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder)
      yield* Effect.promise(() => post(service.url, aNewOrder(1)))
      const text = yield* Effect.promise(() => fetch(`${service.url}/metrics`).then((response) => response.text()))
      const known = new Set(
        Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm)).flatMap(([, name = "", type]) =>
          type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
        )
      )
      for (const expr of [...queries, ...conditions]) {
        for (const name of metricsIn(expr)) assert.isTrue(known.has(name), `${name} in ${expr}`)
      }
      assert.isAbove(queries.length, 60)
    })
  )

  it("assume neither a data source nor the name of a scrape job", () => {
    for (const expr of queries) {
      const series = expr.match(/\b(?:orders|http|process|nodejs)_\w+\{job=~"\$job"/g) ?? []
      assert.strictEqual(series.length, metricsIn(expr).length, expr)
    }
    for (const expr of conditions) assert.notMatch(expr, /\bjob\s*[=!]/)
  })

  it.each(dashboards)("panels of $title have an id of their own and do not lie over each other", ({ panels }) => {
    const ids = panels.map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, ids.length)
    const taken = new Set<string>()
    for (const { gridPos, title } of panels) {
      assert.isAtMost(gridPos.x + gridPos.w, 24, title)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.isFalse(taken.has(`${x} ${y}`), title)
          taken.add(`${x} ${y}`)
        }
      }
    }
  })

  it.scoped.skipIf(!hasPromtool)(`promtool can read every query of the dashboards${unlessPromtool}`, () =>
    Effect.gen(function* () {
      const rules = queries.map((expr, index) => ({
        record: `panel:${index}`,
        expr: expr.replaceAll("$__rate_interval", "1m").replaceAll("$job", "orders|shop-orders")
      }))
      const file = Path.join(yield* temporaryFolder, "panels.yml")
      Fs.writeFileSync(file, Yaml.stringify({ groups: [{ name: "panels", rules }] }))
      promtool(["check", "rules", file])
    })
  )

  const alertsTitle = "promtool finds nothing in the configuration, and the alerts fire when they should"
  it.skipIf(!hasPromtool)(`${alertsTitle}${unlessPromtool}`, () => {
    promtool(["check", "config", "observability/prometheus.yml"])
    promtool(["check", "config", "observability/prometheus.local.yml"])
    promtool(["check", "config", "observability/prometheus.scale.yml"])
    promtool(["test", "rules", "observability/alerts.test.yml"])
  })

  it("every alert is tried", () => {
    const tests = read("observability/alerts.test.yml")
    for (const { alert } of alerts) {
      assert.isTrue(tests.split(`alertname: ${alert}\n        exp_alerts:`).length > 1, alert)
    }
  })
})

describe("compose.observability.yaml", () => {
  const { services } = Schema.decodeUnknownSync(Services)(Yaml.parse(read("compose.observability.yaml")))

  it("pins its images, listens on loopback only, and mounts files that are there", () => {
    for (const [name, { image, ports, volumes }] of Object.entries(services)) {
      assert.match(image ?? "", /^[\w/]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$/, name)
      assert.isTrue(
        ports.every((port) => port.startsWith("127.0.0.1:")),
        name
      )
      const files = volumes.map((volume) => volume.split(":")[0] ?? "").filter((source) => source.startsWith("."))
      assert.isAbove(files.length, 0)
      assert.isTrue(files.every(Fs.existsSync), `${files}`)
    }
  })

  it("publishes no port that the service itself publishes", () => {
    const own = Schema.decodeUnknownSync(Services)(Yaml.parse(read("compose.yaml")))
    const ports = [own.services, services].flatMap((services) => Object.values(services).flatMap(({ ports }) => ports))
    const published = ports.map((port) => port.split(":").at(-2))
    assert.strictEqual(new Set(published).size, published.length)
  })
})
