import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { OrderProcessor, Permanent, Unavailable } from "@order-backend/orders/OrderProcessor"
import { Array as Arr, Config, Effect, Layer, Option, Schema, String as Str } from "effect"

const settings = Config.all({
  /** The warehouse system takes pick lists from here, and moves those it has taken to `picked` in it. */
  folder: Config.nonEmptyString("WAREHOUSE_FOLDER"),
  catalogueFile: Config.nonEmptyString("CATALOGUE").pipe(Config.withDefault("catalogue.json"))
})

/** What can be picked, by item id, and where it lies. */
const Catalogue = Schema.parseJson(
  Schema.Record({ key: Schema.String, value: Schema.Struct({ name: Schema.String, bin: Schema.String }) })
)

/**
 * Hands each order to the warehouse as a file, its pick list. The file is named by the idempotency key: a run that was
 * lost after writing it is repeated, and finds it done.
 */
export const WarehouseLive = Layer.effect(
  OrderProcessor,
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const { catalogueFile, folder } = yield* settings
    const catalogue = new Map(
      Object.entries(yield* Effect.flatMap(fs.readFileString(catalogueFile), Schema.decode(Catalogue)))
    )

    /** The file is there whole or not at all, and is on the disk when this returns. */
    const write = Effect.fn("Warehouse.write")(function* (file: string, text: string) {
      const temporary = `${folder}/.${file}.tmp`
      const out = yield* fs.open(temporary, { flag: "w" })
      yield* out.writeAll(new TextEncoder().encode(text))
      yield* out.sync
      yield* fs.rename(temporary, `${folder}/${file}`)
      yield* Effect.flatMap(fs.open(folder), (directory) => directory.sync)
    }, Effect.scoped)

    const isWritten = (file: string) =>
      // In this order, for the file may be moved meanwhile.
      Effect.if(fs.exists(`${folder}/${file}`), {
        onTrue: () => Effect.succeed(true),
        onFalse: () => fs.exists(`${folder}/picked/${file}`)
      })

    return {
      ready: Effect.void,
      process: Effect.fn("Warehouse.process")(
        function* (order, { idempotencyKey }) {
          const items = Object.entries(Arr.groupBy(order.item_ids, (item_id) => item_id))
          const unknown = items.filter(([item_id]) => !catalogue.has(item_id))
          if (unknown.length > 0) {
            const ids = unknown.map(([item_id]) => item_id).join(", ")
            return yield* new Permanent({ code: "not_in_catalogue", message: `Not in the catalogue: ${ids}` })
          }
          const lines = Arr.filterMap(items, ([item_id, { length: quantity }]) =>
            Option.map(Option.fromNullable(catalogue.get(item_id)), (place) => ({ ...place, item_id, quantity }))
          )
          // "101:1", and a colon may not stand in a file name everywhere.
          const file = `${idempotencyKey.replaceAll(":", "~")}.json`
          if (!(yield* isWritten(file))) {
            const pickList = { order_id: order.order_id, lines: Arr.sortWith(lines, ({ bin }) => bin, Str.Order) }
            yield* write(file, `${JSON.stringify(pickList, null, 2)}\n`)
          }
          return { file }
        },
        // Whatever the file system fails at is not the order's fault: a full disk, a share that is not mounted.
        Effect.catchTags({
          BadArgument: ({ message }) => new Unavailable({ code: "warehouse_folder", message }),
          SystemError: ({ message }) => new Unavailable({ code: "warehouse_folder", message })
        })
      )
    }
  })
).pipe(Layer.provide(NodeFileSystem.layer))
