import { Config, ConfigError, Either, Option, Redacted } from "effect"
import { escaped } from "./Redaction.ts"
import { readRegularFile, reasonOf } from "./RegularFile.ts"
import { type Given, valueOrFile } from "./SecretFile.ts"
import { mariaDbUrl, type ParsedUrl, parseServerUrl, postgresUrl, type UrlForm } from "./ServerUrl.ts"
import { setting } from "./Setting.ts"

/** How far a server's certificate is checked: not at all, by its chain, or by the host's name too. */
export type Verification = "none" | "chain" | "full"

/** TLS to a database's server, with certificates in PEM. */
export interface DatabaseTls {
  readonly verification: Verification
  readonly ca: Option.Option<string>
  readonly cert: Option.Option<string>
  readonly key: Option.Option<Redacted.Redacted>
}

/** A database on a server of its own. */
export interface DatabaseServer {
  readonly kind: "postgres" | "mariadb"
  /** A name, an address, or a socket: its folder for PostgreSQL, its path for MariaDB. */
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

const forms = [postgresUrl, mariaDbUrl]

/** Whether a URL is meant for a database on a server, be it right or wrong. */
export const namesServer = (given: string) => forms.some(({ scheme }) => scheme.test(given))

const mistake = (name: string, what: string) => ConfigError.InvalidData([name], `${name}: ${what}`)

/** Whatever is longer is no certificate. */
const most = 1024 * 1024

const readFile = ({ name, path }: ParsedUrl["files"]["ca"]) =>
  path === null
    ? Either.right(Option.none<string>())
    : Either.try({
        try: () => Option.some(readRegularFile(path, most).text),
        catch: (cause) => mistake("DATABASE_URL", `${name} ${escaped(path)} cannot be read: ${reasonOf(cause)}`)
      })

const tlsOf = ({ files, verification }: ParsedUrl) =>
  Either.gen(function* () {
    if (Option.isNone(verification)) return Option.none<DatabaseTls>()
    const ca = yield* readFile(files.ca)
    const cert = yield* readFile(files.cert)
    const key = Option.map(yield* readFile(files.key), Redacted.make)
    return Option.some({ verification: verification.value, ca, cert, key })
  })

const withPassword = (server: Omit<DatabaseServer, "tls">, given: Option.Option<Given>) => {
  if (Option.isNone(given)) return Either.right(server)
  const { name, value } = given.value
  return Option.isSome(server.password)
    ? Either.left(mistake(name, "given beside a password in DATABASE_URL, allowed is one of them"))
    : Either.right({ ...server, password: Option.some(Redacted.make(value)) })
}

/** A server of that kind; none if the URL does not name one. */
const urlOf = (form: UrlForm) =>
  setting("DATABASE_URL", Option.none<ParsedUrl>(), form.allowed, (given) =>
    form.scheme.test(given) ? Option.map(parseServerUrl(form, given), Option.some) : Option.some(Option.none())
  )

/** The server of DATABASE_URL, with the password of DATABASE_PASSWORD or its file; none if it does not name a server. */
export const databaseServer: Config.Config<Option.Option<DatabaseServer>> = Config.all([
  Config.map(Config.all(forms.map(urlOf)), Option.firstSomeOf),
  valueOrFile("DATABASE_PASSWORD")
]).pipe(
  Config.mapOrFail(([parsed, password]) =>
    Either.transposeMapOption(parsed, (parsed) =>
      Either.gen(function* () {
        if (parsed.server.user === "") {
          yield* Either.left(mistake("DATABASE_URL", "names no user, and the user of this process has no name to take"))
        }
        return { ...(yield* withPassword(parsed.server, password)), tls: yield* tlsOf(parsed) }
      })
    )
  )
)
