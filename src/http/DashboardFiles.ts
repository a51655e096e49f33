import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Layer } from "effect"
import { DashboardMissing } from "../api/Problems.ts"
import { refuse } from "./Refusal.ts"
import type { Route } from "./Route.ts"

const files = [
  { path: "/", file: "index.html", type: "text/html; charset=utf-8" },
  { path: "/dashboard/main.js", file: "main.js", type: "text/javascript; charset=utf-8" },
  { path: "/dashboard/theme.js", file: "theme.js", type: "text/javascript; charset=utf-8" },
  { path: "/dashboard/style.css", file: "style.css", type: "text/css; charset=utf-8" },
  { path: "/dashboard/icon.svg", file: "icon.svg", type: "image/svg+xml" }
] as const

/** The page may load and ask this service alone, and no text becomes markup or code. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'"
].join("; ")

export const dashboardRoutes: ReadonlyArray<Route> = files.map(({ path }) => ({
  method: "GET",
  path,
  contentSecurityPolicy
}))

/** Beside the bundle, beside the library's folder, and as seen from the source. */
const folders = ["./dashboard/", "../../dashboard/", "../../dist/dashboard/"]

const readAll = Effect.sync(() => {
  const folder = folders
    .map((folder) => new URL(folder, import.meta.url))
    .find((folder) => files.every(({ file }) => Fs.existsSync(new URL(file, folder))))
  return files.map(({ file, path, type }) => {
    const body = folder === undefined ? undefined : Fs.readFileSync(new URL(file, folder))
    return { path, type, body }
  })
})

const answer = (type: string, body: Uint8Array) => {
  const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`
  const headers = { etag, "cache-control": "no-cache" }
  const whole = HttpServerResponse.uint8Array(body, { headers, contentType: type })
  const unchanged = HttpServerResponse.empty({ status: 304, headers })
  return (request: HttpServerRequest.HttpServerRequest) =>
    request.headers["if-none-match"]?.includes(etag) ? unchanged : whole
}

/** The page at `/` and its files, read once at the start. */
export const DashboardRoutes = Layer.unwrapEffect(
  Effect.map(readAll, (assets) =>
    HttpLayerRouter.addAll(
      assets.map(({ body, path, type }) =>
        HttpLayerRouter.route(
          "GET",
          path,
          body === undefined
            ? Effect.succeed(refuse(new DashboardMissing()))
            : Effect.map(HttpServerRequest.HttpServerRequest, answer(type, body))
        )
      )
    )
  )
)
