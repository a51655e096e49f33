import * as Net from "node:net"
import * as Os from "node:os"
import { Option, Redacted } from "effect"
import type { DatabaseServer, Verification } from "./DatabaseServer.ts"

/** How the URL of a kind of server is written. */
export interface UrlForm {
  readonly kind: DatabaseServer["kind"]
  /** What such a URL begins with. */
  readonly scheme: RegExp
  /** How it is shown. */
  readonly shownScheme: string
  readonly port: number
  /** The names of its parameters, and what is allowed. */
  readonly parameters: {
    readonly mode: string
    readonly ca: string
    readonly cert: string
    readonly key: string
    readonly socket: string
    readonly options?: string
  }
  readonly modes: ReadonlyMap<string, Option.Option<Verification>>
  readonly allowed: string
}

/** A server as its URL has it: the files of certificates are not read yet. */
export interface ParsedUrl {
  /** Its user is empty if none is known. */
  readonly server: Omit<DatabaseServer, "tls">
  readonly verification: Option.Option<Verification>
  /** The files of TLS with the names of their parameters, as far as they are given. */
  readonly files: Readonly<Record<"ca" | "cert" | "key", { readonly name: string; readonly path: string | null }>>
}

export const postgresUrl: UrlForm = {
  kind: "postgres",
  scheme: /^postgres(ql)?:/,
  shownScheme: "postgres",
  port: 5432,
  parameters: {
    mode: "sslmode",
    ca: "sslrootcert",
    cert: "sslcert",
    key: "sslkey",
    socket: "host",
    options: "options"
  },
  modes: new Map([
    ["disable", Option.none()],
    ["require", Option.some("none")],
    ["verify-ca", Option.some("chain")],
    ["verify-full", Option.some("full")]
  ]),
  allowed:
    "postgres://user@host:port/database, with ?sslmode= (disable, require, verify-ca or verify-full), sslrootcert=, " +
    "sslcert=, sslkey=, options= or host= (the folder of a socket) behind it"
}

export const mariaDbUrl: UrlForm = {
  kind: "mariadb",
  scheme: /^(mariadb|mysql):/,
  shownScheme: "mariadb",
  port: 3306,
  parameters: { mode: "ssl-mode", ca: "ssl-ca", cert: "ssl-cert", key: "ssl-key", socket: "socket" },
  modes: new Map([
    ["DISABLED", Option.none()],
    ["REQUIRED", Option.some("none")],
    ["VERIFY_CA", Option.some("chain")],
    ["VERIFY_IDENTITY", Option.some("full")]
  ]),
  allowed:
    "mariadb://user@host:port/database, with ?ssl-mode= (DISABLED, REQUIRED, VERIFY_CA, or VERIFY_IDENTITY of a host " +
    "that is given by its name), ssl-ca=, ssl-cert=, ssl-key= or socket= (its path) behind it"
}

/** The user of this process; none if the system has no name for it, as in a container that runs as a number. */
const ownUser = () => Option.getOrElse(Option.liftThrowable(() => Os.userInfo().username)(), () => "")

/** What the parts of a URL are; none if anything in it is not understood. */
export const parseServerUrl = (form: UrlForm, given: string): Option.Option<ParsedUrl> =>
  Option.liftThrowable(() => {
    const { kind, modes, parameters, shownScheme } = form
    const url = new URL(given)
    const { searchParams } = url
    const names = [...searchParams.keys()]
    const known: ReadonlyArray<string> = Object.values(parameters)
    if (
      !given.includes("://") ||
      url.hash !== "" ||
      names.some((name) => !known.includes(name)) ||
      new Set(names).size < names.length
    )
      throw new Error("parameters")
    const socket = searchParams.get(parameters.socket) ?? ""
    // A URL with a user has a host.
    if (socket !== "" && !(socket.startsWith("/") && ["", "localhost"].includes(url.hostname)))
      throw new Error("two hosts")
    const host = socket || decodeURIComponent(url.hostname.replace(/^\[(.*)\]$/, "$1")) || "localhost"
    const database = decodeURIComponent(url.pathname.slice(1))
    const mode = searchParams.get(parameters.mode)
    const verification = mode === null ? Option.none() : modes.get(mode)
    if (database === "" || database.includes("/") || verification === undefined) throw new Error("incomplete")
    // Its driver would compare an address with nothing.
    if (kind === "mariadb" && Option.contains(verification, "full") && Net.isIP(host) !== 0) throw new Error("no name")
    const port = url.port === "" ? form.port : Number(url.port)
    const server = {
      kind,
      host,
      port,
      user: decodeURIComponent(url.username) || ownUser(),
      password: Option.map(
        Option.liftPredicate(decodeURIComponent(url.password), (password) => password !== ""),
        Redacted.make
      ),
      database,
      options: Option.fromNullable(parameters.options && searchParams.get(parameters.options)),
      shown: socket
        ? `${shownScheme}://localhost${url.port && `:${url.port}`}/${database}?${parameters.socket}=${socket}`
        : `${shownScheme}://${host.includes(":") ? `[${host}]` : host}:${port}/${database}`
    }
    const file = (name: string) => ({ name, path: searchParams.get(name) })
    return {
      server,
      verification,
      files: { ca: file(parameters.ca), cert: file(parameters.cert), key: file(parameters.key) }
    }
  })()
