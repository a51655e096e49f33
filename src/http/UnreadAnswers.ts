import type { Socket } from "node:net"
import { Effect } from "effect"
import type { TurnServer } from "./TurnServer.ts"

/** What may be kept of answers that their clients have not read yet, on all connections together, in bytes. */
const maxUnread = 64 * 1024 * 1024

/**
 * Looks every quarter of a second at what clients have not read of their answers. While it is too much altogether, the
 * connections that have had something unread for longest are cut off: who reads is never among them for long.
 */
export const limitUnread = (server: TurnServer) => {
  /** In the order in which they were seen first. */
  const unread = new Set<Socket>()
  const look = () => {
    for (const socket of server.owing) unread.add(socket)
    let bytes = 0
    for (const socket of unread) {
      if (socket.writableLength === 0 || socket.destroyed) unread.delete(socket)
      else bytes += socket.writableLength
    }
    for (const socket of unread) {
      if (bytes <= maxUnread) return
      bytes -= socket.writableLength
      socket.destroy()
    }
  }
  return Effect.sync(look).pipe(Effect.delay("250 millis"), Effect.forever, Effect.forkScoped)
}
