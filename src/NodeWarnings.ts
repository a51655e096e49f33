import { Clock, Effect, Layer } from "effect"
import { acceptsAnyCertificate } from "./AppConfig.ts"

/**
 * The last day of each line of Node that the service runs on, by the release schedule of the Node.js project
 * (`schedule.json` of https://github.com/nodejs/Release). A line that is not here is newer than this table.
 */
export const lastDays: Readonly<Record<string, string>> = {
  20: "2026-04-30",
  22: "2027-04-30",
  24: "2028-04-30",
  25: "2026-06-01",
  26: "2029-04-30"
}

const day = 86_400_000

/** What to say of a version of Node at a time, in epoch milliseconds, if its line gets no fixes any more. */
export const endOfLife = (version: string, now: number): string | undefined => {
  const [line = ""] = version.split(".")
  const lastDay = lastDays[line]
  if (lastDay === undefined || now < Date.parse(lastDay) + day) return undefined
  return `Node ${line} has had no security fixes since ${lastDay}: change to a line that gets them (https://nodejs.org/en/about/previous-releases)`
}

const anyCertificate =
  "NODE_TLS_REJECT_UNAUTHORIZED=0: no certificate is checked, so others can read orders on their way to the webhook and " +
  "answer in its place; unset it, and name a certificate authority of your own in NODE_EXTRA_CA_CERTS"

/** What is unsafe about the Node that the service runs on, one line of the log each, once at the start. */
export const NodeWarningsLive = Layer.effectDiscard(
  Effect.gen(function* () {
    const ended = endOfLife(process.versions.node, yield* Clock.currentTimeMillis)
    if (ended !== undefined) yield* Effect.logWarning(ended)
    if (acceptsAnyCertificate()) yield* Effect.logWarning(anyCertificate)
  })
)
