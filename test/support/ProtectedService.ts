import * as Fs from "node:fs"
import * as Path from "node:path"
import * as HttpServer from "@effect/platform/HttpServer"
import { Context, Effect, Layer, Option } from "effect"
import { hashOf, randomKey } from "../../src/access/ApiKey.ts"
import { ApiKeys } from "../../src/access/ApiKeys.ts"
import { HttpLive } from "../../src/http/Http.ts"
import { memoryRepo, service, temporaryFolder } from "./TestLayers.ts"

/** What a key is good for by its name, and what follows its hash in the file. */
export type KeyLines = Readonly<Record<string, readonly [scopes: string, rest?: string]>>

/** A file of keys, a line for each name. */
export const keysFile = (lines: KeyLines) =>
  Effect.map(temporaryFolder, (folder) => {
    const file = Path.join(folder, "keys")
    const keys = Object.fromEntries(Object.keys(lines).map((name) => [name, randomKey()]))
    const key = (name: string) => keys[name] ?? ""
    const write = (lines: KeyLines) => {
      const text = Object.entries(lines)
        .map(([name, [scopes, rest = ""]]) => `${name} ${scopes} sha256:${hashOf(key(name))} ${rest}\n`)
        .join("")
      Fs.writeFileSync(file, text, { mode: 0o600 })
    }
    write(lines)
    return { file, key, write }
  })

/** A service with keys in this process. */
export const protectedService = (lines: KeyLines, http: typeof HttpLive = HttpLive) =>
  Effect.gen(function* () {
    const { file, key, write } = yield* keysFile(lines)
    const layer = service({ repo: memoryRepo, http, settings: { apiKeysFile: Option.some(file) } })
    const context = yield* Layer.build(layer)
    const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
    /** Has the file read again with other lines. */
    const rewrite = (lines: KeyLines) =>
      Effect.zipRight(
        Effect.sync(() => write(lines)),
        Context.get(context, ApiKeys).reload
      )
    return { url, key, rewrite }
  })
