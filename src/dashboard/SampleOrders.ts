import type { MetricsJson } from "./ApiJson.ts"
import { submitMany } from "./Client.ts"
import { byId, isBusy, setBusy } from "./Dom.ts"
import { count, orders } from "./Format.ts"
import { notify } from "./Notices.ts"
import { messageOf } from "./Requests.ts"

const batch = 100

const button = byId("sample", HTMLButtonElement)

const upTo = (most: number) => 1 + Math.floor(Math.random() * most)

const samples = () => {
  // `crypto.randomUUID` is there in secure contexts only, which http beyond loopback is not.
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1))
  const prefix = `sample-${random.toString(36)}`
  return Array.from({ length: batch }, (_, index) => ({
    order_id: `${prefix}-${index + 1}`,
    user_id: upTo(40),
    item_ids: Array.from({ length: upTo(4) }, () => upTo(500)),
    total_amount: (upTo(40_000) / 100).toFixed(2),
    currency: "EUR",
    metadata: { sample: true }
  }))
}

/** While the processor is the simulated one, the page can submit orders. */
export const sampleOrders = (submitted: () => void) => {
  button.addEventListener("click", async () => {
    if (isBusy(button)) return
    setBusy(button, true)
    try {
      const { accepted, refused } = await submitMany(samples())
      const rest = refused > 0 ? ` ${count(refused)} refused: as many orders wait as may.` : ""
      notify(`${orders(accepted)} accepted.${rest}`, refused > 0 ? "failed" : "done")
      submitted()
    } catch (error) {
      notify(messageOf(error), "failed")
    }
    setBusy(button, false)
  })
  let isPlaced = false
  return {
    /** Its place is made with the first metrics and kept, so that it moves nothing if the processor becomes another. */
    show: ({ processor }: MetricsJson) => {
      if (!isPlaced) button.hidden = processor !== "simulated"
      isPlaced = true
      button.classList.toggle("unusable", processor !== "simulated")
    }
  }
}
