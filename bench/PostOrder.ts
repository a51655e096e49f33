import * as Http from "node:http"
import { newOrder } from "./NewOrder.ts"

/** Sends one order; whether it was accepted. */
export const postOrder = (url: string, agent: Http.Agent, order_id: number) =>
  new Promise<boolean>((resolve) => {
    const body = JSON.stringify(newOrder(order_id))
    Http.request(`${url}/api/order`, {
      agent,
      method: "POST",
      headers: { "content-type": "application/json", "content-length": body.length }
    })
      .on("response", (response) => {
        response.resume()
        resolve(response.statusCode === 202)
      })
      .on("error", () => resolve(false))
      .end(body)
  })
