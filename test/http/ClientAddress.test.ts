import { assert, it } from "@effect/vitest"
import { clientOf } from "../../src/http/ClientAddress.ts"

it("A client is its address, and of IPv6 the network of 64 bits", () => {
  const clients = {
    "127.0.0.1": "127.0.0.1",
    "203.0.113.7": "203.0.113.7",
    "::ffff:203.0.113.7": "203.0.113.7",
    "::1": "0:0:0:0::/64",
    "::": "0:0:0:0::/64",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8:1:2::6": "2001:db8:1:2::/64",
    "2001:db8::6": "2001:db8:0:0::/64",
    "2001:db8::3:4:5:6": "2001:db8:0:0::/64",
    "2001:db8:1::": "2001:db8:1:0::/64",
    "2001::1:2:3:4:5": "2001:0:0:1::/64",
    "fe80::1%eth0": "fe80:0:0:0::/64"
  }
  for (const [address, client] of Object.entries(clients)) assert.strictEqual(clientOf(address), client, address)
})
