import * as Net from "node:net"
import { Effect } from "effect"

/**
 * Stands between a service and a database server, and cuts connections. A driver that waits for each answer sends one
 * message at a time, whatever the protocol.
 */
export const relayTo = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const target = new URL(url)
      const sockets = new Set<Net.Socket>()
      /** Behind how many messages from the next BEGIN on the next answer is to be lost. */
      let messagesLeft: number | undefined
      let isDown = false

      const server = Net.createServer((near) => {
        if (isDown) return near.destroy()
        const far = Net.connect(Number(target.port), target.hostname)
        let isWriter = false
        let isAnswerLost = false
        const cut = () => {
          near.destroy()
          far.destroy()
        }
        for (const socket of [near, far]) {
          socket.setNoDelay(true)
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("close", () => {
            sockets.delete(socket)
            cut()
          })
        }
        near.on("data", (sent) => {
          isWriter ||= messagesLeft !== undefined && sent.includes("BEGIN")
          if (isWriter && messagesLeft !== undefined) {
            isAnswerLost = messagesLeft === 0
            messagesLeft = isAnswerLost ? undefined : messagesLeft - 1
          }
          far.write(sent)
        })
        far.on("data", (answer) => (isAnswerLost ? cut() : near.write(answer)))
      })
      await new Promise<void>((resolve) => {
        server.listen(0, "127.0.0.1", resolve)
      })
      const address = server.address()
      const through = new URL(url)
      if (address !== null && typeof address === "object") through.port = String(address.port)
      const cutAll = () => {
        for (const socket of sockets) socket.destroy()
      }
      return {
        url: through.href,
        /** Cuts the connection that writes, once, in place of the answer to that message from the next BEGIN on. */
        cutAt: (message: number) => {
          messagesLeft = message
        },
        hasCut: () => messagesLeft === undefined,
        /** Cuts all, and lets none through until it is `up`. */
        down: Effect.sync(() => {
          isDown = true
          cutAll()
        }),
        up: Effect.sync(() => {
          isDown = false
        }),
        close: () => {
          cutAll()
          server.close()
        }
      }
    }),
    ({ close }) => Effect.sync(close)
  )
