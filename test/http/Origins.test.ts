import { assert, describe, it } from "@effect/vitest"
import { isForeign, isMisdirected } from "../../src/http/Origins.ts"

const allowedHosts = new Set(["orders", "orders.example"])
const allowedOrigins = new Set(["http://shop.example", "https://shop.example:8443"])

describe("isMisdirected", () => {
  const ofHosts = (...hosts: ReadonlyArray<string>) =>
    isMisdirected(
      {
        headers: hosts[0] === undefined ? {} : { host: hosts[0] },
        rawHeaders: hosts.flatMap((host) => ["Host", host])
      },
      allowedHosts
    )

  it.each([
    ...["localhost", "localhost:3000", "LocalHost", "localhost.", "a.localhost", "a.b.localhost:80"],
    ...["127.0.0.1", "127.0.0.1:3000", "192.168.1.20:80", "[::1]", "[::1]:3000", "[fe80::1]:3000"],
    ...["orders", "Orders:3000", "orders.example", "ORDERS.EXAMPLE.:443"]
  ])("takes %s", (host) => assert.isFalse(ofHosts(host)))

  it.each([
    ...["evil.test", "evil.test:3000", "localhost.evil.test", "notlocalhost", "xlocalhost:3000", "127.0.0.1.evil.test"],
    ...["orders.evil.test", "a.orders.example", "orders.example.evil.test", "2130706433", "0x7f.1", "127.1"],
    ...["", ":3000", "[::1", "[localhost]", "::1", "localhost:x", "localhost/", "a@localhost", "evil.test#localhost"]
  ])("refuses %j", (host) => assert.isTrue(ofHosts(host)))

  it("refuses several, whichever is first", () => {
    assert.isTrue(ofHosts("localhost", "evil.test"))
    assert.isTrue(ofHosts("localhost", "localhost"))
  })

  it("takes a request of HTTP/1.0 without one", () => assert.isFalse(ofHosts()))
})

describe("isForeign", () => {
  const host = "orders.example:3000"
  it.each([
    ["no browser", {}, false],
    ["the page itself", { "sec-fetch-site": "same-origin" }, false],
    ["the address bar", { "sec-fetch-site": "none" }, false],
    ["another site", { "sec-fetch-site": "cross-site" }, true],
    ["a neighbour", { "sec-fetch-site": "same-site" }, true],
    ["a value to come", { "sec-fetch-site": "unheard-of" }, true],
    ["the page itself behind a proxy", { "sec-fetch-site": "same-origin", origin: "https://proxy.example" }, false],
    ["another site of an allowed origin", { "sec-fetch-site": "cross-site", origin: "http://shop.example" }, true],
    ["its own origin", { origin: "http://orders.example:3000" }, false],
    ["its own origin in capitals", { host: "ORDERS.example:3000", origin: "http://orders.example:3000" }, false],
    ["the port that http has", { host: "orders.example:80", origin: "http://orders.example" }, false],
    ["the port that https has", { host: "orders.example:443", origin: "https://orders.example" }, false],
    ["TLS in front of it", { host: "orders.example", origin: "https://orders.example" }, false],
    ["another port", { origin: "http://orders.example:3001" }, true],
    ["another name", { origin: "http://evil.example:3000" }, true],
    ["a longer name", { origin: "http://orders.example:3000.evil.example" }, true],
    ["its name as a user", { origin: "http://orders.example:3000@evil.example" }, true],
    ["an opaque origin", { origin: "null" }, true],
    ["an empty origin", { origin: "" }, true],
    ["an allowed origin", { origin: "http://shop.example" }, false],
    ["an allowed origin with a port", { origin: "https://shop.example:8443" }, false],
    ["an allowed origin by another scheme", { origin: "https://shop.example" }, true]
  ])("%s", (_, headers, expected) => assert.strictEqual(isForeign({ host, ...headers }, allowedOrigins), expected))
})
