import { assert, it } from "@effect/vitest"
import { eventParser } from "../../src/dashboard/EventParser.ts"

const event = { order_id: 1, status: "Failed", at: "2026-01-31T12:00:00.000Z", attempts: 1, user_id: "ann" } as const

const parsed = (...pieces: ReadonlyArray<string>) => pieces.map(eventParser())

const block = (data: unknown) => `event: order\ndata: ${JSON.stringify(data)}\n\n`

it("comments bring no event; an event may come in pieces, and two in one", () => {
  assert.deepStrictEqual(parsed("retry: 2000\n\n", ": still here\n\n"), [[], []])
  const text = block(event)
  for (let at = 1; at < text.length; at++) {
    assert.deepStrictEqual(parsed(text.slice(0, at), text.slice(at) + text), [[], [event, event]])
  }
})

it("an event of another form than the API's is left out, and the next one is not", () => {
  for (const foreign of [{ ...event, status: "Paused" }, { order_id: 1 }, [event], null, "text"]) {
    assert.deepStrictEqual(parsed(block(foreign) + block(event)), [[event]])
  }
  assert.deepStrictEqual(parsed(`event: other\ndata: ${JSON.stringify(event)}\n\n`, ": event: order\n\n"), [[], []])
})
