import { text } from "node:stream/consumers"
import { Effect, Schema } from "effect"
import { startHttp } from "../support/Endpoint.ts"

const Sent = Schema.parseJson(
  Schema.Struct({
    order: Schema.Struct({
      metadata: Schema.Struct({
        told: Schema.Struct({
          status: Schema.Int,
          body: Schema.optionalWith(Schema.String, { default: () => "" }),
          characters: Schema.optional(Schema.Int),
          retryAfter: Schema.optional(Schema.Int)
        })
      })
    })
  })
)

/** A shop's endpoint that answers each order what the order's metadata say. */
export const startShop = Effect.map(
  startHttp((request, response) => {
    text(request).then((sent) => {
      const { body, characters, retryAfter, status } = Schema.decodeUnknownSync(Sent)(sent).order.metadata.told
      const later = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }
      response
        .writeHead(status, { "content-type": "application/json", ...later })
        .end(characters === undefined ? body : JSON.stringify("x".repeat(characters)))
    })
  }),
  (url) => ({ WEBHOOK_URL: `${url}hook`, WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, "shop").toString("base64")}` })
)
