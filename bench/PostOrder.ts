import * as Http from "node:http"

/** Sends one order; whether it was accepted. */
export const postOrder = (url: string, agent: Http.Agent, order_id: number) =>
  new Promise<boolean>((resolve) => {
    const body = JSON.stringify({ order_id, user_id: 1 + (order_id % 1000), item_ids: [1, 2, 3], total_amount: 250.7 })
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
