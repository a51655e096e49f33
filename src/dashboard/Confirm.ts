import { byId, setText } from "./Dom.ts"
import type { Text } from "./Text.ts"

const dialog = byId("confirm", HTMLDialogElement)
const heading = byId("confirm-heading", HTMLElement)
const text = byId("confirm-text", HTMLElement)
const yes = byId("confirm-yes", HTMLButtonElement)
const no = byId("confirm-no", HTMLButtonElement)

yes.addEventListener("click", () => dialog.close("yes"))
no.addEventListener("click", () => dialog.close("no"))

/** Asks before something is done to many orders. Escape means no. */
export const confirm = (question: { readonly title: string; readonly text: Text; readonly action: string }) =>
  new Promise<boolean>((resolve) => {
    setText(heading, question.title)
    setText(text, question.text)
    setText(yes, question.action)
    dialog.returnValue = "no"
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true })
    dialog.showModal()
    no.focus()
  })
