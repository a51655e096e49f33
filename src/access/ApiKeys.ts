import { Clock, Context, DateTime, Deferred, Effect, Either, Equal, FiberId, Layer, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { StartupError } from "../StartupError.ts"
import { hashOf, isKey } from "./ApiKey.ts"
import { type Keys, readKeyFile } from "./KeyFile.ts"
import type { KeyLine } from "./KeyLine.ts"

/** The keys that the service knows. */
export class ApiKeys extends Context.Tag("orders/ApiKeys")<
  ApiKeys,
  {
    /** Without it no key is asked for: everyone may do everything. */
    readonly required: boolean
    /** What the file says of a key. Its hash is looked up, so the time it takes says nothing about other keys. */
    readonly find: (key: string) => KeyLine | undefined
    /** Ends when the key does: at its end, or when the file, read again, does not say the same of it any more. */
    readonly ended: (key: KeyLine) => Effect.Effect<void>
    /** Reads the file again; one that is faulty leaves the keys as they are. Both are logged. */
    readonly reload: Effect.Effect<void>
  }
>() {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const { allowUnauthenticated, apiKeysFile, host, isExposed } = yield* AppConfig
      if (Option.isNone(apiKeysFile)) {
        if (isExposed) yield* Effect.logWarning(openWarning(host))
        return { required: false, find: () => undefined, ended: () => Effect.never, reload: Effect.void }
      }
      const file = apiKeysFile.value
      const lines = (mistakes: ReadonlyArray<string>) => mistakes.map((mistake) => `API_KEYS_FILE: ${file}: ${mistake}`)
      const first = readKeyFile(file)
      if (Either.isLeft(first)) return yield* new StartupError({ lines: lines(first.left) })
      let keys: Keys = first.right
      let reloaded = Deferred.unsafeMake<void>(FiberId.none)
      const replaced = (key: KeyLine): Effect.Effect<void> =>
        Effect.suspend(() =>
          isSame(keys.get(key.hash), key) ? Effect.zipRight(Deferred.await(reloaded), replaced(key)) : Effect.void
        )
      yield* Effect.logInfo(`Keys read from ${file}`).pipe(Effect.annotateLogs("keys", keys.size))
      if (allowUnauthenticated) yield* Effect.logWarning("ALLOW_UNAUTHENTICATED does nothing beside API_KEYS_FILE")
      return {
        required: true,
        find: (key) => (isKey(key) ? keys.get(hashOf(key)) : undefined),
        ended: (key) =>
          Effect.raceFirst(replaced(key), Option.match(key.expiresAt, { onNone: () => Effect.never, onSome: until })),
        reload: Effect.suspend(() => {
          const read = readKeyFile(file)
          if (Either.isLeft(read)) {
            return Effect.logError(`The keys stay as they are: ${lines(read.left).join("; ")}`)
          }
          keys = read.right
          Deferred.unsafeDone(reloaded, Effect.void)
          reloaded = Deferred.unsafeMake<void>(FiberId.none)
          return Effect.annotateLogs(Effect.logInfo(`Keys read again from ${file}`), "keys", keys.size)
        })
      }
    })
  )
}

/** Whether two lines give the same key the same rights. */
const isSame = (a: KeyLine | undefined, b: KeyLine) =>
  a !== undefined && a.name === b.name && a.scopes.join() === b.scopes.join() && Equal.equals(a.expiresAt, b.expiresAt)

/** By the clock that can be set, which is looked at every minute. */
const until = (at: DateTime.Utc): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const left = DateTime.toEpochMillis(at) - now
    return left <= 0 ? Effect.void : Effect.zipRight(Effect.sleep(Math.min(left, 60_000)), until(at))
  })

const openWarning = (host: string) =>
  `Whoever reaches ${host} may do everything: ALLOW_UNAUTHENTICATED=yes leaves it to a proxy to ask for keys`
