import * as Fs from "node:fs"
import * as Path from "node:path"
import * as HttpApi from "@effect/platform/HttpApi"
import * as OpenApi from "@effect/platform/OpenApi"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Option, Schema } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { Api } from "../../src/api/Api.ts"
import { bulkCalls, bulkFaults, bulkLimit, bulkOrders } from "../../src/api/BodyRules.ts"
import { heartbeatSeconds } from "../../src/api/Heartbeat.ts"
import { problemType } from "../../src/api/Problem.ts"
import * as Problems from "../../src/api/Problems.ts"

// As a client would get it: JSON.
const OpenApiDocument = Schema.Struct({
  openapi: Schema.String,
  info: Schema.Struct({ version: Schema.String }),
  servers: Schema.Array(Schema.Struct({ url: Schema.String })),
  paths: Schema.Record({
    key: Schema.String,
    value: Schema.Record({
      key: Schema.String,
      value: Schema.Struct({
        operationId: Schema.String,
        summary: Schema.NonEmptyString,
        description: Schema.NonEmptyString,
        requestBody: Schema.optional(
          Schema.Struct({
            content: Schema.Struct({ "application/json": Schema.Struct({ example: Schema.Object }) })
          })
        ),
        responses: Schema.Record({
          key: Schema.String,
          value: Schema.Struct({
            description: Schema.NonEmptyString,
            headers: Schema.optional(Schema.Object),
            content: Schema.Record({
              key: Schema.String,
              value: Schema.Struct({
                schema: Schema.Object,
                example: Schema.optional(Schema.Union(Schema.Object, Schema.NonEmptyString))
              })
            })
          })
        })
      })
    })
  }),
  components: Schema.Struct({
    schemas: Schema.Record({ key: Schema.String, value: Schema.Unknown })
  })
})

const document = Schema.decodeUnknownSync(OpenApiDocument)(JSON.parse(JSON.stringify(OpenApi.fromApi(Api))))
const operations = Object.values(document.paths).flatMap((path) => Object.values(path))

type Endpoint = Parameters<Parameters<typeof HttpApi.reflect>[1]["onEndpoint"]>[0]

const endpoints = new Map<string, Endpoint>()
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: (reflected) => {
    endpoints.set(`${reflected.group.identifier}.${reflected.endpoint.name}`, reflected)
  }
})

const successType = (operationId: string) => (operationId === "orders.watch" ? "text/event-stream" : "application/json")

const strictly = { errors: "all", onExcessProperty: "error" } as const

describe("Api", () => {
  it("imports the vocabulary only, so that a client can import it", () => {
    const files = new Set<string>()
    const packages = new Set<string>()
    const visit = (file: string) => {
      if (files.has(file)) return
      files.add(file)
      const source = Fs.readFileSync(file, "utf8")
      for (const [, specifier = ""] of source.matchAll(/(?:\bfrom |^import |\bimport\()"([^"\s]+)"/gm)) {
        if (specifier.startsWith(".")) visit(Path.resolve(Path.dirname(file), specifier))
        else packages.add(specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/"))
      }
    }
    visit(Path.resolve("src/api/Api.ts"))
    assert.deepStrictEqual([...files].map((file) => Path.basename(file)).sort(), [
      "Access.ts",
      "Answers.ts",
      "Api.ts",
      "BodyRules.ts",
      "Change.ts",
      "Documented.ts",
      "Filters.ts",
      "Heartbeat.ts",
      "HistoryEndpoints.ts",
      "InvalidRequest.ts",
      "Numbers.ts",
      "Order.ts",
      "OrderChange.ts",
      "OrderEvent.ts",
      "Problem.ts",
      "Problems.ts",
      "Scope.ts",
      "StreamLimits.ts",
      "Time.ts",
      "Version.ts"
    ])
    assert.deepStrictEqual([...packages].sort(), ["@effect/platform", "@effect/sql", "effect"])
  })
})

describe("OpenAPI document", () => {
  it("is of version 3.1.0", () => {
    assert.strictEqual(document.openapi, "3.1.0")
  })

  it("has the version of the package, and stands beside what it describes", () => {
    assert.strictEqual(document.info.version, packageJson.version)
    for (const page of ["openapi.json", "docs"]) {
      const server = new URL(document.servers[0]?.url ?? "", `https://shop.example/internal/orders/${page}`)
      assert.strictEqual(server.href, "https://shop.example/internal/orders/")
    }
  })

  it("names its schemas as types can be named, and nothing after what Effect calls it", () => {
    const { schemas } = document.components
    for (const name of Object.keys(schemas)) assert.match(name, /^[A-Z][A-Za-z]*$/)
    assert.containsAllKeys(schemas, ["NewOrder", "OrderReceived", "Order", "OrderList", "InvalidRequest", "BulkAnswer"])
    const named = (value: unknown): ReadonlyArray<unknown> =>
      typeof value !== "object" || value === null
        ? []
        : Object.entries(value).flatMap(([key, inner]) =>
            ["title", "$id"].includes(key) && typeof inner === "string" ? [inner] : named(inner)
          )
    assert.deepStrictEqual(named([schemas, document.paths]), [])
  })

  it("lets clients send any metadata, and has one schema for both good answers to a submission", () => {
    assert.propertyVal(document.components.schemas.Metadata, "additionalProperties", true)
    const responses = document.paths["/api/order"]?.post?.responses ?? {}
    const schemas = ["200", "202"].map((status) => responses[status]?.content["application/json"]?.schema)
    const schema = { $ref: "#/components/schemas/OrderReceived" }
    assert.deepStrictEqual(schemas, [schema, schema])
  })

  it("has the schema of an event, which the stream of events refers to", () => {
    const Reference = Schema.Struct({ contentSchema: Schema.Struct({ $ref: Schema.String }) })
    const { schema } = document.paths["/api/events"]?.get?.responses[200]?.content["text/event-stream"] ?? {}
    const { contentSchema } = Schema.decodeUnknownSync(Reference)(schema)
    assert.strictEqual(contentSchema.$ref, "#/components/schemas/OrderEvent")
    const Properties = Schema.Struct({ properties: Schema.Record({ key: Schema.String, value: Schema.Object }) })
    const { properties } = Schema.decodeUnknownSync(Properties)(document.components.schemas.OrderEvent)
    assert.hasAllKeys(
      properties,
      "id order_id user_id from to at run attempt reason error next_attempt_at by status attempts".split(" ")
    )
  })

  it("names the limits that hold", () => {
    const many = document.paths["/api/orders"]?.post?.description ?? ""
    assert.include(many, `Up to ${bulkOrders / 1000},000 orders in ${bulkLimit / 1024 / 1024} MiB`)
    assert.include(many, ` ${bulkCalls} calls at a time`)
    assert.include(many, `After ${bulkFaults / 1000},000 faults`)
    assert.include(document.paths["/api/events"]?.get?.description, `A comment comes every ${heartbeatSeconds} seconds`)
  })

  it("names every status that can happen and none that cannot", () => {
    const statuses = Object.fromEntries(
      Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, { responses }]) => [
          `${method} ${path}`,
          Object.keys(responses).join(" ")
        ])
      )
    )
    assert.deepStrictEqual(statuses, {
      "post /api/order": "200 202 400 401 403 409 413 415 421 422 429 500 503",
      "get /api/order/{order_id}": "200 401 403 404 410 421 422 429 500 503",
      "get /api/order/{order_id}/history": "200 401 403 404 410 421 422 429 500 503",
      "post /api/order/{order_id}/cancel": "200 401 403 404 409 410 421 422 429 500 503",
      "post /api/order/{order_id}/retry": "200 401 403 404 409 410 421 422 429 500 503",
      "get /api/orders": "200 401 403 421 422 429 500 503",
      "post /api/orders": "200 400 401 403 413 415 421 422 429 500 503",
      "post /api/orders/retry": "200 400 401 403 413 415 421 422 429 500 503",
      "get /api/changes": "200 401 403 421 422 429 500 503",
      "get /api/events": "200 401 403 421 422 429 500 503",
      "get /api/failures": "200 401 403 421 429 500 503",
      "get /api/metrics": "200 401 403 421 429 500 503",
      "get /api/nodes": "200 401 403 421 429 500 503",
      "get /api/key": "200 401 403 421 429 500 503",
      "get /health": "200 421 500 503",
      "get /livez": "200 421 500 503",
      "get /readyz": "200 421 422 500 503"
    })
  })

  it("asks for a key by bearer where one is needed, and nowhere else", () => {
    const { paths } = OpenApi.fromApi(Api)
    const asking = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { security = [] }]) =>
        security.length > 0 ? [[`${method} ${path}`, security]] : []
      )
    )
    assert.lengthOf(asking, 14)
    for (const [route, security] of asking) {
      assert.match(String(route), / \/api\//)
      assert.deepStrictEqual(security, [{ apiKey: [] }])
    }
    assert.propertyVal(OpenApi.fromApi(Api).components.securitySchemes.apiKey, "scheme", "bearer")
  })

  it("answers errors as application/problem+json and all else as application/json, or as events", () => {
    for (const { operationId, responses } of operations) {
      for (const [status, { content }] of Object.entries(responses)) {
        const mediaType = Number(status) >= 400 ? "application/problem+json" : successType(operationId)
        assert.deepStrictEqual(Object.keys(content), [mediaType], `${operationId} ${status}`)
      }
    }
  })

  it("says where an answer has how long to wait or how to authenticate, and where an accepted order is", () => {
    const headers = operations.flatMap(({ operationId, responses }) =>
      Object.entries(responses).flatMap(([status, { headers = {} }]) =>
        Object.keys(headers).map((header) => `${operationId} ${status} ${header}`)
      )
    )
    const guarded = operations.filter(({ responses }) => "401" in responses).map(({ operationId }) => operationId)
    assert.lengthOf(guarded, 14)
    assert.deepStrictEqual(
      headers.sort(),
      [
        ...operations.map(({ operationId }) => `${operationId} 503 Retry-After`),
        ...guarded.flatMap((id) => [
          `${id} 401 WWW-Authenticate`,
          `${id} 403 WWW-Authenticate`,
          `${id} 429 Retry-After`
        ]),
        "orders.submit 200 Idempotent-Replayed",
        "orders.submit 200 Location",
        "orders.submit 202 Location"
      ].sort()
    )
  })

  it("has examples for what goes in and what comes out, and they are right", () => {
    assert.deepStrictEqual(operations.map(({ operationId }) => operationId).sort(), [...endpoints.keys()].sort())
    for (const { operationId, requestBody, responses } of operations) {
      const { endpoint, successes } = Option.getOrThrow(Option.fromNullable(endpoints.get(operationId)))

      assert.strictEqual(requestBody !== undefined, Option.isSome(endpoint.payloadSchema), operationId)
      if (Option.isSome(endpoint.payloadSchema)) {
        const payload = Schema.make(endpoint.payloadSchema.value.ast)
        Schema.decodeUnknownSync(payload)(requestBody?.content["application/json"].example, strictly)
      }

      for (const [status, { ast }] of successes) {
        const answer = Schema.make(Option.getOrThrow(ast))
        const example = responses[status]?.content[successType(operationId)]?.example
        const decoded = Schema.decodeUnknownSync(answer)(example, strictly)
        assert.deepStrictEqual(JSON.parse(JSON.stringify(Schema.encodeSync(answer)(decoded))), example, operationId)
      }
    }
  })

  it("describes problems by the members of RFC 9457, never by a tag", () => {
    const Problem = Schema.Struct({
      properties: Schema.Struct({
        type: Schema.Struct({ enum: Schema.Tuple(Schema.String) }),
        title: Schema.Object,
        status: Schema.Struct({ enum: Schema.Tuple(Schema.Int) }),
        detail: Schema.Object
      }),
      required: Schema.Array(Schema.String)
    })
    const problems = Object.values(document.components.schemas).filter(Schema.is(Problem))
    const types = problems.map(({ properties }) => `${properties.status.enum[0]} ${properties.type.enum[0]}`)
    assert.deepStrictEqual(types.sort(), [
      "400 urn:orders:problem:malformed-request",
      "401 urn:orders:problem:unauthorized",
      "403 urn:orders:problem:foreign-origin",
      "403 urn:orders:problem:insufficient-scope",
      "404 urn:orders:problem:order-not-found",
      "409 urn:orders:problem:order-conflict",
      "409 urn:orders:problem:order-status-conflict",
      "410 urn:orders:problem:order-gone",
      "413 urn:orders:problem:body-too-large",
      "415 urn:orders:problem:unsupported-media-type",
      "421 urn:orders:problem:misdirected-request",
      "421 urn:orders:problem:worker-only",
      "422 urn:orders:problem:invalid-request",
      "429 urn:orders:problem:too-many-requests",
      "500 urn:orders:problem:internal-error",
      "503 urn:orders:problem:backlog-full",
      "503 urn:orders:problem:draining",
      "503 urn:orders:problem:not-ready",
      "503 urn:orders:problem:starting",
      "503 urn:orders:problem:storage-unavailable",
      "503 urn:orders:problem:too-many-bytes",
      "503 urn:orders:problem:too-many-calls",
      "503 urn:orders:problem:too-many-streams"
    ])
    for (const { required } of problems) assert.includeMembers([...required], ["type", "title", "status", "detail"])
    assert.notInclude(JSON.stringify(document), "_tag")
  })
})

describe("Problems", () => {
  const Body = Schema.Struct({
    type: Schema.String.pipe(Schema.pattern(/^urn:orders:problem:[a-z-]+$/)),
    title: Schema.NonEmptyString,
    status: Schema.Int.pipe(Schema.between(400, 599)),
    detail: Schema.String
  })

  const problems = Object.entries({ ...Problems, InvalidRequestProblem: Api.errorSchema })
    .filter(([name]) => name.endsWith("Problem") && name !== "AnyProblem")
    .flatMap(([name, schema]) => (Schema.isSchema(schema) ? [{ name, schema: Schema.make(schema.ast) }] : []))

  it("are all named in the documents", () => {
    const text = Fs.readFileSync("docs/api.md", "utf8")
    for (const { name } of problems) {
      const type = problemType(name.replace(/Problem$/, "")).replace("urn:orders:problem:", "")
      assert.include(text, `\`${type}\``)
    }
  })

  it("are all here", () => {
    assert.sameMembers(
      problems.map(({ schema }) => schema.ast),
      Problems.AnyProblem.members.map(({ ast }) => ast)
    )
  })

  for (const { name, schema } of problems) {
    it.prop(
      `${name} goes out without a tag, and says how long to wait if it is a 429 or 503`,
      [Arbitrary.make(schema)],
      ([error]) => {
        if (!Problems.isProblem(error)) return assert.fail("it is none of all")
        const { headers, status, text } = Problems.answerOf(error)
        const body: unknown = JSON.parse(text)
        assert.deepStrictEqual(body, JSON.parse(JSON.stringify(Schema.encodeSync(schema)(error))))
        assert.isTrue(Schema.is(Body)(body), text)
        assert.notProperty(body, "_tag")
        assert.propertyVal(body, "status", status)
        assert.strictEqual(headers["content-type"], "application/problem+json")
        assert.strictEqual("retry-after" in headers, status === 429 || status === 503)
        assert.strictEqual("www-authenticate" in headers, status === 401 || error._tag === "InsufficientScope")
        if ("retry-after" in headers) assert.propertyVal(body, "retry_after", Number(headers["retry-after"]))
      }
    )
  }
})
