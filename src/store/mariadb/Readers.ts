import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { Client, type ClientConfig, connectionBy } from "./MariaDbClient.ts"

/** Connections that read, `max` at most, opened when they are needed; closed with the scope. */
export const makeReaders = Effect.fnUntraced(function* (config: ClientConfig, max: number) {
  const turn = yield* Effect.makeSemaphore(max)
  let idle: ReadonlyArray<Client> = []
  let isClosed = false

  const opened = Effect.suspend(() => {
    const client = new Client(config)
    return Effect.as(client.ready, client).pipe(Effect.onError(() => Effect.sync(() => client.abort("given up"))))
  })
  const taken: Effect.Effect<Client, SqlError> = Effect.suspend(() => {
    const [client, ...others] = idle.filter((client) => client.isOpen())
    idle = others
    return client ? Effect.succeed(client) : opened
  })
  const giveBack = (client: Client) => {
    if (isClosed) client.abort("closed")
    else idle = [client, ...idle]
  }

  yield* Effect.addFinalizer(() =>
    Effect.promise(() => {
      isClosed = true
      return Promise.all(idle.filter((client) => client.isOpen()).map((client) => client.end()))
    })
  )
  // Whoever is interrupted does not wait for the answer, but the connection does.
  return connectionBy((text, params, rowsAsArray) =>
    Effect.flatMap(taken, (client) =>
      Effect.async<unknown, SqlError>((resume) =>
        client.ask(text, params, rowsAsArray, (answer) => {
          giveBack(client)
          resume(answer)
        })
      )
    ).pipe(turn.withPermits(1), Effect.uninterruptible, Effect.disconnect)
  )
})
