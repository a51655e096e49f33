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
      /** Whether the answer to a message of the connection that writes is to be lost. */
      let isDue: ((sent: Buffer) => boolean) | undefined

      const server = Net.createServer((near) => {
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
          isWriter ||= isDue !== undefined && sent.includes("BEGIN")
          if (isWriter && isDue?.(sent) === true) {
            isAnswerLost = true
            isDue = undefined
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
          let left = message
          isDue = () => left-- === 0
        },
        /** The same in place of the answer to the next COMMIT. */
        cutAtCommit: () => {
          isDue = (sent) => sent.includes("COMMIT")
        },
        hasCut: () => isDue === undefined,
        /** Cuts all connections. */
        cutAll,
        close: () => {
          cutAll()
          server.close()
        }
      }
    }),
    ({ close }) => Effect.sync(close)
  )
