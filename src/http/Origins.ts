import type { IncomingHttpHeaders } from "node:http"
import { isIP } from "node:net"

/** A Host field, by RFC 9110, 7.2: a name or an address, perhaps with a port. */
const hostPattern = /^(?:\[([^\]]*)\]|([^:@/?#[\]\s]+))(?::\d*)?$/

/** The name or address in a Host field, in small letters and without a final dot; nothing if it is not one. */
const nameIn = (host: string) => {
  const [, address, name] = hostPattern.exec(host) ?? []
  if (address !== undefined) return isIP(address) === 6 ? address : undefined
  return name?.toLowerCase().replace(/\.$/, "")
}

/** How many fields of that name a request has. Node keeps the first of several `Host`. */
const count = (rawHeaders: ReadonlyArray<string>, name: string) => {
  let found = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.length === name.length && rawHeaders[index]?.toLowerCase() === name) found += 1
  }
  return found
}

/**
 * Whether a request is for another host than this service. A browser that was made to take a foreign name for this
 * address (DNS rebinding) gives that name, so only names which nobody else can point here are taken: `localhost` and
 * what is below it, addresses, and those that are allowed.
 */
export const isMisdirected = (
  {
    headers: { host },
    rawHeaders
  }: { readonly headers: IncomingHttpHeaders; readonly rawHeaders: ReadonlyArray<string> },
  allowed: ReadonlySet<string>
) => {
  // HTTP/1.0 needs none, and no browser sends it.
  if (host === undefined) return false
  const name = nameIn(host)
  if (name === undefined || count(rawHeaders, "host") > 1) return true
  return name !== "localhost" && !name.endsWith(".localhost") && isIP(name) === 0 && !allowed.has(name)
}

/** As `URL` has it, without the port that its scheme has anyway. */
const hostOf = (protocol: string, host: string) => {
  const url = `${protocol}//${host}`
  return URL.canParse(url) ? new URL(url).host : undefined
}

/**
 * Whether a page of another origin sent a request, by what browsers say of themselves: `Sec-Fetch-Site` (Fetch Metadata
 * Request Headers, W3C) alone where it is there, else `Origin` against the host or the allowed ones. Other clients send
 * neither. Go's `http.CrossOriginProtection` judges so too, but lets an allowed origin pass whatever `Sec-Fetch-Site` says.
 */
export const isForeign = (headers: IncomingHttpHeaders, allowed: ReadonlySet<string>) => {
  const site = headers["sec-fetch-site"]
  if (site !== undefined) return site !== "same-origin" && site !== "none"
  const { host, origin } = headers
  if (origin === undefined) return false
  if (!URL.canParse(origin)) return true
  const { host: from, origin: normal, protocol } = new URL(origin)
  return !allowed.has(normal) && (host === undefined || from !== hostOf(protocol, host))
}
