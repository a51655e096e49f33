import type { ServerErrors } from "../server/ServerErrors.ts"

/** None of PostgreSQL's begins with an E, and those of the system do: EPIPE has five letters, too. */
const sqlState = /^(?!E)[0-9A-Z]{5}$/
/**
 * https://www.postgresql.org/docs/15/errcodes-appendix.html: connections (08), read-only transactions (25006), those that
 * took too long (25P03, 25P04), refused users (28), missing databases (3D), transactions that were rolled back (40),
 * resources (53), objects in the wrong state (55), the operator's intervention (57), errors of the system (58) and of the
 * server itself (XX), permissions (42501).
 */
const unavailable = /^(08|25006|25P0[34]|28|3D|40|53|55|57|58|XX|42501)/

/** What an SQLSTATE means. An error without one is not the server's word on a statement, but that there is no connection. */
export const postgresErrors: ServerErrors = {
  isUnavailable: (code) => !sqlState.test(code) || unavailable.test(code),
  isRepeatable: (code) => code === "40001" || code === "40P01",
  isReadOnly: (code) => code === "25006"
}
