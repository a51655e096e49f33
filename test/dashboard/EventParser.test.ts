import { assert, it } from "@effect/vitest"
import { eventParser } from "../../src/dashboard/EventParser.ts"
import { aChange } from "./AChange.ts"

const event = aChange({ id: 7, to: "Failed", reason: "failed" })
const nothing = { place: undefined, event: undefined, isReset: false }
const taken = { place: 7, event, isReset: false }

const parsed = (...pieces: ReadonlyArray<string>) => pieces.map(eventParser())

const block = (data: unknown) => `event: order\nid: 7\ndata: ${JSON.stringify(data)}\n\n`

it("comments say nothing; an event may come in pieces, and two in one", () => {
  assert.deepStrictEqual(parsed("retry: 2000\n\n", ": still here\n\n"), [[nothing], [nothing]])
  const text = block(event)
  for (let at = 1; at < text.length; at++) {
    assert.deepStrictEqual(parsed(text.slice(0, at), text.slice(at) + text), [[], [taken, taken]])
  }
})

it("an event of another form than the API's is left out, and its place is not", () => {
  for (const foreign of [{ ...event, status: "Paused" }, { order_id: 1 }, [event], null, "text"]) {
    assert.deepStrictEqual(parsed(block(foreign) + block(event)), [[{ ...taken, event: undefined }, taken]])
  }
  assert.deepStrictEqual(parsed(`event: other\ndata: ${JSON.stringify(event)}\n\n`, ": event: order\n\n"), [
    [nothing],
    [nothing]
  ])
})

it("a place comes without an event as well, and a reset as its own", () => {
  assert.deepStrictEqual(parsed("retry: 2000\nid: 12\n\n", ": still here\nid: 14\n\nid: 0\n\n"), [
    [{ ...nothing, place: 12 }],
    [
      { ...nothing, place: 14 },
      { ...nothing, place: 0 }
    ]
  ])
  assert.deepStrictEqual(parsed('event: reset\nid: 41\ndata: {"oldest":42}\n\n'), [
    [{ place: 41, event: undefined, isReset: true }]
  ])
})
