import type * as CliApp from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import type * as Command from "@effect/cli/Command"
import * as CommandDescriptor from "@effect/cli/CommandDescriptor"
import type { ValidationError } from "@effect/cli/ValidationError"
import type * as HttpClient from "@effect/platform/HttpClient"
import { Effect, HashSet } from "effect"
import { redacted } from "../Redaction.ts"
import { cancel, retry } from "./Act.ts"
import { backup } from "./Backup.ts"
import { doctor } from "./Doctor.ts"
import { misused } from "./Failure.ts"
import { history } from "./History.ts"
import { keys } from "./Keys.ts"
import { type Manual, manualOf, paragraphsOf } from "./Manual.ts"
import { migrate } from "./Migrate.ts"
import { failures, get, list, metrics, nodes } from "./Queries.ts"
import { restore } from "./Restore.ts"
import { serve } from "./Serve.ts"
import { simulate } from "./Simulate.ts"
import { submit } from "./Submit.ts"
import { watch } from "./Watch.ts"

type Environment = HttpClient.HttpClient | CliApp.CliApp.Environment

/** What the help says of a command beside what it takes. */
interface About {
  readonly group: "ORDERS" | "MONITORING" | "THE SERVICE"
  /** It changes something, so it goes on to its end even if its output is lost. */
  readonly acts: boolean
  /** How it is called, where that is more than its arguments and options. */
  readonly usage?: ReadonlyArray<string>
  readonly examples: ReadonlyArray<string>
  readonly exits: { readonly done: string; readonly failed: string }
}

export interface Page extends About {
  readonly name: string
  readonly manual: Manual
  readonly run: (words: ReadonlyArray<string>) => Effect.Effect<void, unknown, Environment>
}

const cliConfig = CliConfig.make({ showBuiltIns: false })

const seeHelp = (name: string) => `See orders ${name} --help.`

/** @effect/cli does not say of which option a value is none of the few there are. */
const complaintsOf = (error: ValidationError, manual: Manual): ReadonlyArray<string> => {
  const paragraphs = paragraphsOf(error.error)
  const text = paragraphs.join(" ")
  const option = manual.options.find(
    ({ choices }) => choices.length > 0 && text.startsWith("Expected") && text.endsWith(choices.join(", "))
  )
  return option === undefined ? paragraphs : [`${option.names[0]}: expected one of ${option.choices.join(", ")}`]
}

const page = <Name extends string, R extends Environment, E, A>(
  command: Command.Command<Name, R, E, A>,
  about: About
): Page => {
  const [name = ""] = HashSet.toValues(CommandDescriptor.getNames(command.descriptor))
  const manual = manualOf(command)
  return {
    ...about,
    name,
    manual,
    run: Effect.fnUntraced(function* (words) {
      const directive = yield* CommandDescriptor.parse(command.descriptor, [name, ...words], cliConfig).pipe(
        Effect.mapError((error) => {
          const [complaint = "", ...more] = complaintsOf(error, manual)
          return misused(`${name}: ${complaint}`, ...more, seeHelp(name))
        })
      )
      if (directive._tag === "BuiltIn") return yield* misused(`${name}: there is no such option.`, seeHelp(name))
      const [unknown] = directive.leftover
      if (unknown !== undefined) {
        const what = unknown.startsWith("-")
          ? `there is no option ${redacted(unknown)}`
          : `the argument ${redacted(unknown)} is not expected`
        return yield* misused(`${name}: ${what}.`, seeHelp(name))
      }
      yield* command.transform(command.handler(directive.value), directive.value)
    })
  }
}

/** Every command, in the order of the help. */
export const pages: ReadonlyArray<Page> = [
  page(submit, {
    group: "ORDERS",
    acts: true,
    usage: [
      "--order-id <id> --user-id <id> --item <id>... --amount <amount> [options]",
      "--file <file> [--json] [--url <url>] [--insecure]"
    ],
    examples: [
      "orders submit --order-id 101 --user-id 1 --item 1 --item 2 --amount 250.70",
      "orders submit --file orders.ndjson",
      "export-orders | orders submit --file - --json >answers.ndjson"
    ],
    exits: { done: "every order is accepted, or was before", failed: "an order was refused, or no service answered" }
  }),
  page(get, {
    group: "ORDERS",
    acts: false,
    examples: ["orders get 101", "orders get 101 --wait 30 --json"],
    exits: { done: "the order is shown, whatever its status", failed: "there is no such order, or no service answered" }
  }),
  page(history, {
    group: "ORDERS",
    acts: false,
    examples: ["orders history 101", "orders history 101 --json | jq -r .reason"],
    exits: { done: "all changes that are kept are shown", failed: "there is no such order, or no service answered" }
  }),
  page(list, {
    group: "ORDERS",
    acts: false,
    examples: [
      "orders list --status Failed --limit 10",
      "orders list --user-id 1 --accepted-after 2026-01-31 --all",
      "orders list --all --json | jq -r .order_id"
    ],
    exits: { done: "all that fit are listed, even if none does", failed: "no service answered" }
  }),
  page(cancel, {
    group: "ORDERS",
    acts: true,
    examples: ["orders cancel 101"],
    exits: { done: "the order is Cancelled", failed: "there is no such order, or its status does not allow it" }
  }),
  page(retry, {
    group: "ORDERS",
    acts: true,
    usage: ["<id> [options]", "--all [options]", "[--status <one>] [--error-code <code>] ... [options]"],
    examples: [
      "orders retry 101",
      "orders retry --error-code timeout",
      "orders retry --all --accepted-after 2026-01-31 --yes"
    ],
    exits: { done: "all that fit are Pending again", failed: "refused, nothing was changed, or no service answered" }
  }),
  page(failures, {
    group: "MONITORING",
    acts: false,
    examples: ["orders failures"],
    exits: { done: "the failures are shown, even if there are none", failed: "no service answered" }
  }),
  page(metrics, {
    group: "MONITORING",
    acts: false,
    examples: ["orders metrics", "orders metrics --json | jq .orders_pending"],
    exits: { done: "the metrics are shown", failed: "no service answered" }
  }),
  page(nodes, {
    group: "MONITORING",
    acts: false,
    examples: ["orders nodes", "orders nodes --json | jq '.nodes[] | select(.alive | not)'"],
    exits: { done: "the nodes are shown, gone ones too", failed: "no service answered" }
  }),
  page(watch, {
    group: "MONITORING",
    acts: false,
    examples: ["orders watch", "orders watch --status Failed --json", "orders watch --after 1200"],
    exits: { done: "never: it ends by Ctrl-C", failed: "no service answered at first, or it refused for good" }
  }),
  page(serve, {
    group: "THE SERVICE",
    acts: true,
    examples: ["orders serve", 'PORT=8080 PROCESSING_TIME="100 millis" orders serve'],
    exits: { done: "it was ended in order", failed: "it could not start, or failed" }
  }),
  page(keys, {
    group: "THE SERVICE",
    acts: true,
    examples: [
      "orders keys new --name shop --scopes submit,read",
      "orders keys new --name web --scopes submit --rate 50/s --expires 2027-01-31"
    ],
    exits: { done: "the key is shown", failed: "never" }
  }),
  page(doctor, {
    group: "THE SERVICE",
    acts: false,
    examples: ["orders doctor", "orders doctor --database data/orders.db --json"],
    exits: { done: "the database is well", failed: "there is a warning or an error" }
  }),
  page(backup, {
    group: "THE SERVICE",
    acts: true,
    examples: ["orders backup /var/backups/orders/", "orders backup backup.db --database data/orders.db"],
    exits: { done: "the backup is made and checked", failed: "it could not be made, or the checks found an error" }
  }),
  page(restore, {
    group: "THE SERVICE",
    acts: true,
    examples: ["orders restore /var/backups/orders/orders-20261123T020000Z.db"],
    exits: {
      done: "the backup is in place, the former database set aside",
      failed: "a service has the database, or the backup is damaged; nothing was changed"
    }
  }),
  page(migrate, {
    group: "THE SERVICE",
    acts: true,
    usage: ["--from <database> --to <database> [options]"],
    examples: [
      "orders migrate --from file:./data/orders.db --to postgres://orders@db/orders",
      "orders migrate --from postgres://orders@db/orders --to file:./data/orders.db"
    ],
    exits: {
      done: "everything is in the new database, read again and found equal",
      failed: "a service has one of them, the new one is not empty, or the old one is damaged; nothing was moved"
    }
  }),
  page(simulate, {
    group: "THE SERVICE",
    acts: true,
    examples: ["orders simulate", "orders simulate --orders 10000 --concurrency 1000 --seed 7"],
    exits: { done: "every promise was kept", failed: "one was broken, or nothing could be checked" }
  })
]
