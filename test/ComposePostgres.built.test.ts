import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Yaml from "yaml"
import { hasServer, serverPassword, startServer, unlessServer } from "./support/PostgresServer.ts"
import { run } from "./support/Run.ts"
import { aNewOrder, post, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"

const Environment = Schema.Record({ key: Schema.String, value: Schema.String })
const Compose = Schema.Struct({
  services: Schema.Struct({
    orders: Schema.Struct({
      environment: Environment,
      secrets: Schema.Array(Schema.String),
      depends_on: Schema.Struct({ postgres: Schema.Struct({ condition: Schema.Literal("service_healthy") }) }),
      stop_grace_period: Schema.String
    }),
    postgres: Schema.Struct({
      image: Schema.String.pipe(Schema.pattern(/^postgres:\d+\.\d+@sha256:[0-9a-f]{64}$/)),
      user: Schema.Literal("postgres"),
      cap_drop: Schema.Tuple(Schema.Literal("ALL")),
      security_opt: Schema.Tuple(Schema.Literal("no-new-privileges:true")),
      mem_limit: Schema.String,
      pids_limit: Schema.Int,
      shm_size: Schema.String,
      environment: Environment,
      secrets: Schema.Array(Schema.String),
      volumes: Schema.Tuple(Schema.Literal("postgres:/var/lib/postgresql/data")),
      healthcheck: Schema.Struct({
        test: Schema.Array(Schema.String),
        interval: Schema.String,
        timeout: Schema.String,
        start_period: Schema.String
      }),
      stop_grace_period: Schema.String,
      restart: Schema.Literal("unless-stopped")
    })
  }),
  secrets: Schema.Record({ key: Schema.String, value: Schema.Struct({ file: Schema.String }) }),
  volumes: Schema.Struct({ postgres: Schema.Null })
})

// What it does not know, such as a port that is published, is refused.
const { secrets, services } = Schema.decodeUnknownSync(Compose, { onExcessProperty: "error" })(
  Yaml.parse(Fs.readFileSync("compose.postgres.yaml", "utf8"))
)
const { orders, postgres } = services

describe("compose.postgres.yaml", () => {
  it("gives both the password by a file that git does not know", () => {
    assert.deepStrictEqual(orders.secrets, Object.keys(secrets))
    assert.deepStrictEqual(postgres.secrets, Object.keys(secrets))
    const [[name, { file }] = ["", { file: "" }]] = Object.entries(secrets)
    assert.strictEqual(orders.environment.DATABASE_PASSWORD_FILE, `/run/secrets/${name}`)
    assert.strictEqual(postgres.environment.POSTGRES_PASSWORD_FILE, `/run/secrets/${name}`)
    assert.include(Fs.readFileSync(".gitignore", "utf8").split("\n"), Path.basename(file))
  })

  it("has the service connect to the database that it makes", () => {
    const url = new URL(orders.environment.DATABASE_URL ?? "")
    assert.strictEqual(url.hostname, "postgres")
    assert.strictEqual(url.username, postgres.environment.POSTGRES_USER)
    assert.strictEqual(url.pathname, `/${postgres.environment.POSTGRES_DB}`)
  })
})

describe.skipIf(!hasServer)(`The image on PostgreSQL${unlessServer}`, () => {
  it.scopedLive("starts with what compose.postgres.yaml sets, and takes an order", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const server = yield* startServer(folder)
      const image = Path.join(folder, "image")
      yield* run(".", process.execPath, ["--import", "tsx", "supply/image.ts", image])
      const password = Path.join(folder, "password")
      Fs.writeFileSync(password, `${serverPassword}\n`)
      const settings = {
        ...orders.environment,
        DATABASE_URL: server.url("postgres", ""),
        DATABASE_PASSWORD_FILE: password
      }
      const { url } = yield* startService(folder, settings, Path.join(image, "dist/main.js"))
      assert.strictEqual((yield* Effect.promise(() => post(url, aNewOrder(1)))).status, 202)
    })
  )
})
