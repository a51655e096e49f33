import { BlockList, isIP } from "node:net"

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8)
loopback.addAddress("::1", "ipv6")

/**
 * Whether a host name or address is this machine alone: `localhost` and what is below it (RFC 6761, 6.3), 127.0.0.0/8 and
 * ::1, in brackets too. Of other names that is not known.
 */
export const isLoopback = (host: string) => {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1")
  const family = isIP(name)
  if (family !== 0) return loopback.check(name, family === 6 ? "ipv6" : "ipv4")
  return name === "localhost" || name.endsWith(".localhost")
}
