import * as Os from "node:os"
import { Config, ConfigError, Either, Option, Redacted } from "effect"
import { escaped } from "./Redaction.ts"
import { readRegularFile, reasonOf } from "./RegularFile.ts"
import { type Given, valueOrFile } from "./SecretFile.ts"
import { setting } from "./Setting.ts"

/** How far a server's certificate is checked: not at all, by its chain, or by the host's name too. */
type Verification = "none" | "chain" | "full"

/** TLS to a database's server, with certificates in PEM. */
export interface DatabaseTls {
  readonly verification: Verification
  readonly ca: Option.Option<string>
  readonly cert: Option.Option<string>
  readonly key: Option.Option<Redacted.Redacted>
}

/** A database on a server of its own. */
export interface DatabaseServer {
  /** A name, an address, or the folder of a socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: Option.Option<Redacted.Redacted>
  readonly database: string
  readonly tls: Option.Option<DatabaseTls>
  /** What each session is started with, such as `-c search_path=shop`. */
  readonly options: Option.Option<string>
  /** Where it is, without anything that is a secret. */
  readonly shown: string
}

const serverForms =
  "postgres://user@host:port/database, with ?sslmode= (disable, require, verify-ca or verify-full), sslrootcert=, " +
  "sslcert=, sslkey=, options= or host= (the folder of a socket) behind it"

const sslModes = new Map<string, Option.Option<Verification>>([
  ["disable", Option.none()],
  ["require", Option.some("none")],
  ["verify-ca", Option.some("chain")],
  ["verify-full", Option.some("full")]
])

/** Whether a URL is meant for a database on a server, be it right or wrong. */
export const namesServer = (given: string) => /^postgres(ql)?:/.test(given)

/** A server as its URL has it: the files of certificates are not read yet. */
interface Parsed {
  readonly server: Omit<DatabaseServer, "tls">
  readonly verification: Option.Option<Verification>
  readonly files: Readonly<Record<"sslrootcert" | "sslcert" | "sslkey", string | null>>
}

const known = ["sslmode", "sslrootcert", "sslcert", "sslkey", "options", "host"]

const parse = (given: string): Option.Option<Parsed> =>
  Option.liftThrowable(() => {
    const url = new URL(given)
    const { searchParams } = url
    const names = [...searchParams.keys()]
    if (
      !given.includes("://") ||
      url.hash !== "" ||
      names.some((name) => !known.includes(name)) ||
      new Set(names).size < names.length
    )
      throw new Error("parameters")
    const path = searchParams.get("host") ?? ""
    if (path !== "" && (!path.startsWith("/") || url.hostname !== "")) throw new Error("two hosts")
    const host = path || decodeURIComponent(url.hostname.replace(/^\[(.*)\]$/, "$1")) || "localhost"
    const database = decodeURIComponent(url.pathname.slice(1))
    const verification = sslModes.get(searchParams.get("sslmode") ?? "disable")
    if (database === "" || database.includes("/") || verification === undefined) throw new Error("incomplete")
    const port = url.port === "" ? 5432 : Number(url.port)
    const server = {
      host,
      port,
      user: decodeURIComponent(url.username) || Os.userInfo().username,
      password: Option.map(
        Option.liftPredicate(decodeURIComponent(url.password), (password) => password !== ""),
        Redacted.make
      ),
      database,
      options: Option.fromNullable(searchParams.get("options")),
      shown: `postgres://${host.includes(":") ? `[${host}]` : host}:${port}/${database}`
    }
    const file = (name: string) => searchParams.get(name)
    return {
      server,
      verification,
      files: { sslrootcert: file("sslrootcert"), sslcert: file("sslcert"), sslkey: file("sslkey") }
    }
  })()

const mistake = (name: string, what: string) => ConfigError.InvalidData([name], `${name}: ${what}`)

/** Whatever is longer is no certificate. */
const most = 1024 * 1024

const readFile = (name: string, path: string | null) =>
  path === null
    ? Either.right(Option.none<string>())
    : Either.try({
        try: () => Option.some(readRegularFile(path, most).text),
        catch: (cause) => mistake("DATABASE_URL", `${name} ${escaped(path)} cannot be read: ${reasonOf(cause)}`)
      })

const tlsOf = ({ files, verification }: Parsed) =>
  Either.gen(function* () {
    if (Option.isNone(verification)) return Option.none<DatabaseTls>()
    const ca = yield* readFile("sslrootcert", files.sslrootcert)
    const cert = yield* readFile("sslcert", files.sslcert)
    const key = Option.map(yield* readFile("sslkey", files.sslkey), Redacted.make)
    return Option.some({ verification: verification.value, ca, cert, key })
  })

const withPassword = (server: Omit<DatabaseServer, "tls">, given: Option.Option<Given>) => {
  if (Option.isNone(given)) return Either.right(server)
  const { name, value } = given.value
  return Option.isSome(server.password)
    ? Either.left(mistake(name, "given beside a password in DATABASE_URL, allowed is one of them"))
    : Either.right({ ...server, password: Option.some(Redacted.make(value)) })
}

/** The server of DATABASE_URL, with the password of DATABASE_PASSWORD or its file; none if it does not name a server. */
export const databaseServer: Config.Config<Option.Option<DatabaseServer>> = Config.all([
  setting("DATABASE_URL", Option.none<Parsed>(), serverForms, (given) =>
    namesServer(given) ? Option.map(parse(given), Option.some) : Option.some(Option.none())
  ),
  valueOrFile("DATABASE_PASSWORD")
]).pipe(
  Config.mapOrFail(([parsed, password]) =>
    Either.transposeMapOption(parsed, (parsed) =>
      Either.gen(function* () {
        return { ...(yield* withPassword(parsed.server, password)), tls: yield* tlsOf(parsed) }
      })
    )
  )
)
