import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Array as Arr, Option } from "effect"
import { hashOf, randomKey } from "../access/ApiKey.ts"
import {
  expiryRule,
  formatKeyLine,
  isKeyName,
  keyNameRule,
  parseExpiry,
  parseRate,
  parseScopes,
  rateRule,
  scopesRule
} from "../access/KeyLine.ts"
import { json, printFields, printJson } from "./Output.ts"

/** A text that goes into the line of a key as it was given. */
const checked = (name: string, rule: string, isAllowed: (given: string) => boolean) =>
  Options.mapTryCatch(
    Options.text(name),
    (given) => {
      if (!isAllowed(given)) throw new TypeError("not allowed")
      return given
    },
    () => HelpDoc.p(`--${name}: expected ${rule}`)
  )

const options = {
  json,
  action: Args.choice([["new", "new"]], { name: "new" }).pipe(Args.withDescription("Make a key")),
  name: checked("name", keyNameRule, isKeyName).pipe(
    Options.withPseudoName("name"),
    Options.withDescription("Whom the key is for: what logs and traces call it")
  ),
  scopes: Options.text("scopes").pipe(
    Options.mapTryCatch(
      (given) => Option.getOrThrow(parseScopes(given)),
      () => HelpDoc.p(`--scopes: expected ${scopesRule}`)
    ),
    Options.withPseudoName("scopes"),
    Options.withDescription(
      "What it is good for: submit, read, operate (cancel and retry), metrics, with commas between"
    )
  ),
  rate: checked("rate", rateRule, (given) => Option.isSome(parseRate(given))).pipe(
    Options.withPseudoName("rate"),
    Options.optional,
    Options.withDescription("How many requests it may make, and orders submit, such as 100/s [default: no limit]")
  ),
  expires: checked("expires", expiryRule, (given) => Option.isSome(parseExpiry(given))).pipe(
    Options.withPseudoName("date"),
    Options.optional,
    Options.withDescription("From when on it is refused, such as 2027-01-31 [default: never]")
  )
}

/** Nothing is kept of the key: the line has its hash alone. */
export const keys = Command.make("keys", options, ({ expires, json, name, rate, scopes }) => {
  const key = randomKey()
  const line = formatKeyLine(
    { name, scopes, hash: hashOf(key) },
    Arr.getSomes([Option.map(rate, (rate) => `rate=${rate}`), Option.map(expires, (expires) => `expires=${expires}`)])
  )
  if (json) return printJson({ key, line })
  return printFields([
    ["key", key],
    ["", "shown this once: hand it to its user"],
    ["line", line],
    ["", "to be added to the file of API_KEYS_FILE; then send the service SIGHUP"]
  ])
}).pipe(Command.withDescription("Make a key for the service"))
