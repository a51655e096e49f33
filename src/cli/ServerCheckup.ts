import type { SqlError } from "@effect/sql/SqlError"
import { Clock, Effect } from "effect"
import type { DatabaseServer } from "../DatabaseServer.ts"
import { isLoopback } from "../Loopback.ts"
import { type Examination, mostSeconds } from "../store/server/Examination.ts"
import { messageOf } from "../store/server/ServerErrors.ts"
import { type Check, error, notByUs, ok, warning } from "./Check.ts"
import { failed, misused } from "./Failure.ts"
import { contentChecks } from "./ServerChecks.ts"

const otherwise =
  "Something other than this service changed the database. Stop the service, and put a backup of the server in place."

/** How the URL of a kind of server asks for TLS with a certificate that is checked. */
const checkedTls = {
  postgres: "sslmode=verify-full and sslrootcert",
  mariadb: "ssl-mode=VERIFY_IDENTITY and ssl-ca"
} as const

/** Nothing but this machine sees what is sent. */
const isPrivate = ({ host }: Pick<DatabaseServer, "host">) => host.startsWith("/") || isLoopback(host)

export const checkTls = (server: Pick<DatabaseServer, "host" | "kind">, { tls }: Pick<Examination, "tls">): Check => {
  if (tls !== undefined) return ok("tls", tls)
  return isPrivate(server)
    ? ok("tls", "not used, and nothing leaves this machine")
    : warning(
        "tls",
        "not used: orders and the password's proof go over the network as they are",
        `Name ${checkedTls[server.kind]} in the URL.`
      )
}

const checkMigrations = ({ migrations: { applied, latest } }: Examination): Check =>
  applied === latest
    ? ok("migrations", latest === 1 ? "the only one is applied" : `all ${latest} are applied`)
    : warning("migrations", `${applied} of ${latest} are applied`, "The service applies the others when it starts.")

const settings = ({ differences, isHeld, server, weakened }: Examination) => ({
  first: [ok("service", isHeld ? "running" : "not running"), ok("server", `${server}, takes writes`)],
  durability:
    weakened === undefined
      ? ok("durability", "what is committed is on the server's disk")
      : warning("durability", weakened, "Change that on the server, or live with it knowingly."),
  schema:
    differences.length === 0
      ? ok("schema", "the tables are as the migrations make them")
      : error(
          "schema",
          differences.join(", "),
          "Undo that: the service may not start on it, or fail. Nothing else was looked at."
        )
})

/** What is behind a statement that took too long is not known, and nothing is wrong with that. */
const looked = ({ sql, tookTooLong }: Examination, name: string, check: Effect.Effect<Check, SqlError>) =>
  sql`SAVEPOINT looking`.pipe(
    Effect.zipRight(check),
    Effect.catchIf(tookTooLong, () =>
      Effect.as(
        sql`ROLLBACK TO SAVEPOINT looking`,
        ok(name, `not known: to look takes longer than ${mostSeconds} seconds here`)
      )
    )
  )

const open = (server: DatabaseServer) =>
  server.kind === "postgres"
    ? Effect.flatMap(
        Effect.promise(() => import("../store/postgres/PostgresExamination.ts")),
        ({ openExamination }) => openExamination(server)
      )
    : Effect.flatMap(
        Effect.promise(() => import("../store/mariadb/MariaDbExamination.ts")),
        ({ openExamination }) => openExamination(server)
      )

/** Looks at a database on a server, running service or not, all in one state of it. Nothing is written. */
export const examineServer = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const examination = yield* open(server).pipe(
      Effect.mapError(({ lines }) => misused(...lines.map((line) => line.replace("DATABASE_URL: ", ""))))
    )
    const { applied, latest } = examination.migrations
    if (applied > latest) {
      return yield* misused(`${server.shown} is of a newer version of this service: use the doctor of that version.`)
    }
    const { durability, first, schema } = settings(examination)
    const settled = [...first, checkTls(server, examination), durability, checkMigrations(examination)]
    // What the tables are to be like is known of the latest migration alone.
    if (applied < latest) return settled
    const before = [...settled, schema]
    if (schema.state === "error") return before
    const now = yield* Clock.currentTimeMillis
    const checks = yield* Effect.forEach(contentChecks(examination, now), ([name, check]) =>
      looked(examination, name, check)
    ).pipe(Effect.mapError((error) => failed(`${server.shown}: ${messageOf(error)}`)))
    return [...before, ...checks].map((check) => (check.advice === notByUs ? { ...check, advice: otherwise } : check))
  }).pipe(Effect.scoped)
