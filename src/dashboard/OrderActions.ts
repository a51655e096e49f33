import type { Status } from "../order/Order.ts"
import type { OrderJson } from "./ApiJson.ts"
import { act } from "./Client.ts"
import { byId, isBusy, setBusy } from "./Dom.ts"
import { notify } from "./Notices.ts"
import { messageOf } from "./Requests.ts"
import { Outside } from "./Text.ts"

const heading = byId("panel-heading", HTMLElement)
const buttons = {
  retry: byId("panel-retry", HTMLButtonElement),
  cancel: byId("panel-cancel", HTMLButtonElement)
}
const verbs = ["retry", "cancel"] as const
const usableIn: Record<(typeof verbs)[number], ReadonlyArray<Status>> = {
  retry: ["Failed", "Cancelled"],
  cancel: ["Pending", "Processing"]
}
const done = { retry: "retried", cancel: "cancelled" }

interface ActionListener {
  /** The id of the order that is open. */
  readonly openId: () => string | undefined
  /** The service did it. */
  readonly onOrder: (id: string, order: OrderJson) => void
  /** The service did it or refused it. */
  readonly onEnd: () => void
}

/** The buttons Retry and Cancel of the order that is open. */
export const orderActions = ({ onEnd, onOrder, openId }: ActionListener) => {
  const actOn = async (verb: (typeof verbs)[number]) => {
    const id = openId()
    if (id === undefined || isBusy(buttons.retry)) return
    for (const verb of verbs) setBusy(buttons[verb], true)
    try {
      onOrder(id, await act(id, verb))
      notify(["Order ", new Outside(id), ` is ${done[verb]}.`])
    } catch (error) {
      notify(messageOf(error), "failed")
    }
    for (const verb of verbs) setBusy(buttons[verb], false)
    onEnd()
  }
  for (const verb of verbs) buttons[verb].addEventListener("click", () => actOn(verb))

  return {
    /** Each button keeps its place, or the other would come under a pointer that was on its way to the first. */
    show: (status: Status) => {
      for (const verb of verbs) {
        const button = buttons[verb]
        const isUsable = usableIn[verb].includes(status)
        if (!isUsable && button === document.activeElement) heading.focus()
        button.classList.toggle("unusable", !isUsable)
      }
    }
  }
}
