import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Stream } from "effect"
import { type EventBlock, eventBlocks } from "../../src/api/EventBlocks.ts"

const blocksOf = (text: string): ReadonlyArray<Partial<EventBlock>> =>
  Chunk.toReadonlyArray(Effect.runSync(Stream.runCollect(eventBlocks(Stream.splitLines(Stream.make(text))))))

const none = { event: "message", id: undefined, data: undefined }

describe("the blocks of a stream of events", () => {
  it("have a name, an id and data, with one blank behind the colon or none", () => {
    assert.deepStrictEqual(blocksOf("event: order\nid: 7\ndata: {}\n\nid:8\r\ndata:  a\r\nevent:reset\r\n\r\n"), [
      { event: "order", id: "7", data: "{}" },
      { event: "reset", id: "8", data: " a" }
    ])
  })

  it("may have an id alone, lines of data, or only a comment; nothing goes over to the next", () => {
    assert.deepStrictEqual(blocksOf("id: 7\n\ndata: a\ndata: b\n\ndata\n\n: still here: yes\n\nretry: 2000\n\n"), [
      { ...none, id: "7" },
      { ...none, data: "a\nb" },
      { ...none, data: "" },
      none,
      none
    ])
  })

  it("count when they are complete: one that is cut off is dropped with its id", () => {
    for (const cut of ["id: 8", "id: 8\n", "event: order\nid: 8\ndata: {}", "event: order\nid: 8\ndata: {}\n"]) {
      assert.deepStrictEqual(blocksOf(`id: 7\n\n${cut}`), [{ ...none, id: "7" }], cut)
    }
  })
})
