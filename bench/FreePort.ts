import { once } from "node:events"
import * as Net from "node:net"

/** For programs that do not say which port they took, or are to be asked before they can say. */
export const freePort = async () => {
  const server = Net.createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" ? (address?.port ?? 0) : 0
}
