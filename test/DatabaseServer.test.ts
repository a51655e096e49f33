import * as Fs from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import Os from "node:os"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted } from "effect"
import { settingsBy, temporaryFolder } from "./support/TestLayers.ts"

const serverBy = (environment: Record<string, string>) =>
  Effect.flatMap(settingsBy(environment), ({ databaseServer }) => databaseServer)

const mistakesIn = (environment: Record<string, string>) =>
  Effect.map(Effect.flip(settingsBy(environment)), ({ lines }) => lines)

describe("DATABASE_URL of a server", () => {
  for (const [given, shown] of [
    ["postgres://ann@db.example/shop", "postgres://db.example:5432/shop"],
    ["postgresql://ann@db.example:6543/shop", "postgres://db.example:6543/shop"],
    ["postgres://ann@[::1]/shop?sslmode=disable", "postgres://[::1]:5432/shop"],
    ["postgres:///shop?host=/run/postgresql", "postgres://localhost/shop?host=/run/postgresql"],
    ["postgres://localhost:6543/shop?host=/run/pg", "postgres://localhost:6543/shop?host=/run/pg"],
    ["postgres:///shop", "postgres://localhost:5432/shop"],
    ["mariadb://ann@db.example/shop", "mariadb://db.example:3306/shop"],
    ["mysql://ann@db.example:3307/shop?ssl-mode=DISABLED", "mariadb://db.example:3307/shop"],
    [
      "mariadb://ann@localhost/shop?socket=/run/mysqld/mysqld.sock",
      "mariadb://localhost/shop?socket=/run/mysqld/mysqld.sock"
    ]
  ] as const) {
    it.effect(`takes ${given}`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* serverBy({ DATABASE_URL: given })).shown, shown)
      })
    )
  }

  for (const given of [
    "postgres://ann:secret@db.example",
    "postgres://ann:secret@db.example/",
    "postgres://ann:secret@db.example/a/b",
    "postgres://ann:secret@db.example/shop#x",
    "postgres://ann:secret@db.example/shop?sslmode=prefer",
    "postgres://ann:secret@db.example/shop?sslmode=require&sslmode=disable",
    "postgres://ann:secret@db.example/shop?target_session_attrs=any",
    "postgres://ann:secret@db.example/shop?host=/run",
    "postgres:///shop?host=db.example",
    "postgres://ann:%secret@db.example/shop",
    "postgres:shop",
    "mariadb://ann:secret@db.example",
    "mariadb://ann:secret@db.example/shop?sslmode=require",
    "mariadb://ann:secret@db.example/shop?ssl-mode=PREFERRED",
    "mariadb://ann:secret@192.0.2.1/shop?ssl-mode=VERIFY_IDENTITY",
    "mariadb://ann:secret@[::1]/shop?ssl-mode=VERIFY_IDENTITY",
    "mariadb://ann:secret@db.example/shop?socket=/run/mysqld/mysqld.sock",
    "mysql://ann:secret@db.example/shop?multipleStatements=true"
  ]) {
    it.effect(`refuses ${given} in one line, and does not show the password`, () =>
      Effect.gen(function* () {
        const lines = yield* mistakesIn({ DATABASE_URL: given })
        assert.lengthOf(lines, 1)
        assert.match(
          lines[0] ?? "",
          /^DATABASE_URL: given .*, allowed is (postgres|mariadb):\/\/user@host:port\/database/
        )
        assert.notInclude(lines[0] ?? "", "secret")
      })
    )
  }

  it.scoped("takes the user of this process, and says that one is missing where that has no name", () =>
    Effect.gen(function* () {
      const { userInfo } = Os
      const replace = (by: typeof userInfo) => {
        Os.userInfo = by
        syncBuiltinESMExports()
      }
      const given = { DATABASE_URL: "postgres://db.example/shop" }
      assert.strictEqual((yield* serverBy(given)).user, userInfo().username)
      yield* Effect.addFinalizer(() => Effect.sync(() => replace(userInfo)))
      replace(() => {
        throw new Error("ENOENT: no such file or directory, uv_os_get_passwd")
      })
      assert.deepStrictEqual(yield* mistakesIn(given), [
        "DATABASE_URL: names no user, and the user of this process has no name to take"
      ])
      assert.strictEqual((yield* serverBy({ DATABASE_URL: "postgres://ann@db.example/shop" })).user, "ann")
    })
  )

  it.effect("keeps the password, decoded, where nothing shows it", () =>
    Effect.gen(function* () {
      const server = yield* serverBy({ DATABASE_URL: "postgres://ann%40x:p%2Fw@db.example/shop" })
      assert.strictEqual(server.user, "ann@x")
      assert.strictEqual(Redacted.value(Option.getOrThrow(server.password)), "p/w")
      assert.notInclude(JSON.stringify(server), "p/w")
    })
  )

  it.scoped("takes the password from a variable or a file, and from one place only", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* temporaryFolder, "password")
      yield* Effect.promise(() => Fs.writeFile(file, "from the file\n"))
      const url = { DATABASE_URL: "postgres://ann@db.example/shop" }
      const passwordBy = (given: Record<string, string>) =>
        Effect.map(serverBy({ ...url, ...given }), ({ password }) => Redacted.value(Option.getOrThrow(password)))
      assert.strictEqual(yield* passwordBy({ DATABASE_PASSWORD: "given" }), "given")
      assert.strictEqual(yield* passwordBy({ DATABASE_PASSWORD_FILE: file }), "from the file")
      assert.deepStrictEqual(
        yield* mistakesIn({ DATABASE_URL: "postgres://ann:pw@db.example/shop", DATABASE_PASSWORD_FILE: file }),
        ["DATABASE_PASSWORD_FILE: given beside a password in DATABASE_URL, allowed is one of them"]
      )
    })
  )

  it.scoped("checks the server's certificate as far as sslmode says, against that authority", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* temporaryFolder, "ca.pem")
      yield* Effect.promise(() => Fs.writeFile(file, "PEM"))
      const tlsBy = (query: string) =>
        Effect.map(serverBy({ DATABASE_URL: `postgres://db.example/shop${query}` }), ({ tls }) =>
          Option.getOrUndefined(Option.map(tls, ({ ca, verification }) => [verification, Option.getOrUndefined(ca)]))
        )
      assert.isUndefined(yield* tlsBy(""))
      assert.isUndefined(yield* tlsBy("?sslmode=disable"))
      assert.deepStrictEqual(yield* tlsBy("?sslmode=require"), ["none", undefined])
      assert.deepStrictEqual(yield* tlsBy(`?sslmode=verify-ca&sslrootcert=${file}`), ["chain", "PEM"])
      assert.deepStrictEqual(yield* tlsBy(`?sslmode=verify-full&sslrootcert=${file}`), ["full", "PEM"])
      const mariaDb = yield* serverBy({
        DATABASE_URL: `mariadb://db.example/shop?ssl-mode=VERIFY_IDENTITY&ssl-ca=${file}`
      })
      assert.deepStrictEqual(
        Option.getOrUndefined(Option.map(mariaDb.tls, ({ ca, verification }) => [verification, Option.getOrNull(ca)])),
        ["full", "PEM"]
      )
      assert.deepStrictEqual(
        yield* mistakesIn({ DATABASE_URL: `postgres://db.example/shop?sslmode=require&sslrootcert=${file}.gone` }),
        [`DATABASE_URL: sslrootcert "${file}.gone" cannot be read: ENOENT: no such file or directory`]
      )
    })
  )
})
