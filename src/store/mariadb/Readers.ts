import { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { Client, type ClientConfig, connectionBy } from "./MariaDbClient.ts"

/** For how long a statement waits for a free connection. */
const patience = "5 seconds"

const noneFree = new SqlError({
  cause: new Error(`no connection was free within ${patience}`),
  message: "Failed to connect"
})

/** So many at a time, in the order they came; the others wait, and fail if it takes too long. */
const makePlaces = (max: number) => {
  const line = new Set<() => void>()
  let free = max
  return <A>(self: Effect.Effect<A, SqlError>) =>
    Effect.suspend(() => {
      // Noted at once, so that no place is lost with a fiber that is interrupted just when it gets one.
      let hasPlace = false
      const place = Effect.async<void>((resume) => {
        const take = () => {
          line.delete(take)
          free -= 1
          hasPlace = true
          resume(Effect.void)
        }
        if (free > 0) take()
        else line.add(take)
        return Effect.sync(() => line.delete(take))
      })
      const leave = Effect.sync(() => {
        if (!hasPlace) return
        free += 1
        const [next] = line
        next?.()
      })
      const inTime = Effect.timeoutFail(place, { duration: patience, onTimeout: () => noneFree })
      return Effect.uninterruptibleMask((restore) =>
        Effect.ensuring(Effect.zipRight(free > 0 ? place : restore(inTime), self), leave)
      )
    })
}

/** Connections that read, `max` at most, opened when they are needed; closed with the scope. */
export const makeReaders = Effect.fnUntraced(function* (config: ClientConfig, max: number) {
  const inPlace = makePlaces(max)
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
    ).pipe(inPlace, Effect.disconnect)
  )
})
