import type { CallerJson } from "./ApiJson.ts"

/** What a key may be good for. */
export type Scope = CallerJson["scopes"][number]

export const scopes: ReadonlyArray<Scope> = ["submit", "read", "operate", "metrics"]
