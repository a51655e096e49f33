import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Esbuild from "esbuild"
import { run } from "../support/Run.ts"
import { startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

/** Runs a command of a package as its users do. */
const runBin = (folder: string, bin: string, ...args: ReadonlyArray<string>) =>
  run(folder, process.execPath, [Path.join("node_modules", bin), ...args])

/** The programs of `generated/`, and beside them what public generators make of the contract of a running service. */
const generate = Effect.fnUntraced(function* (url: string) {
  const folder = yield* temporaryFolder
  yield* Effect.promise(async () => {
    await Fs.cp("test/generated", folder, { recursive: true })
    await Fs.symlink(Path.resolve("node_modules"), Path.join(folder, "node_modules"))
  })
  const contract = `${url}/openapi.json`
  yield* runBin(folder, "openapi-typescript/bin/cli.js", contract, "--output", "schema.ts")
  yield* runBin(
    folder,
    "@hey-api/openapi-ts/bin/run.js",
    ...["--input", contract, "--output", "hey-api", "--no-log-file"],
    ...["--plugins", "@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk", "zod"]
  )
  return folder
})

const Program = Schema.Struct({
  use: Schema.declare(
    (input): input is (url: string, order_id: number) => Promise<unknown> => typeof input === "function"
  )
})

const load = (folder: string, name: string) =>
  Effect.promise(async () => {
    const outfile = Path.join(folder, `${name}.mjs`)
    const entry = Path.join(folder, `${name}.ts`)
    await Esbuild.build({ entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm" })
    return Schema.decodeUnknownSync(Program)(await import(pathToFileURL(outfile).href))
  })

describe("clients that public generators make", () => {
  it.scopedLive("compile, and do with the service all that they promise", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder, {
        PROCESSING_TIME: "1 millis",
        PROCESSING_FAILURES: "1",
        MAX_ATTEMPTS: "1"
      })
      const folder = yield* generate(service.url)
      yield* runBin(folder, "typescript/bin/tsc", "--project", "tsconfig.json")

      for (const [name, order_id] of [
        ["OpenapiFetch", 1],
        ["HeyApi", 2]
      ] as const) {
        const { use } = yield* load(folder, name)
        const received = { message: "Order received", order_id }
        assert.deepStrictEqual(
          yield* Effect.promise(() => use(service.url, order_id)),
          {
            statuses: [202, 409, 422, 200, 200, 200, 200, 404, 200],
            received: [received, { ...received, status: "Failed" }],
            conflict: ["total_amount"],
            invalid: ["/item_ids"],
            missing: "Order not found",
            metadata: { note: "gift", nested: { list: [1, "two", null] }, "": false },
            code: "simulated",
            listed: [order_id],
            retried: order_id,
            many: ["accepted"]
          },
          name
        )
      }
    })
  )
})
