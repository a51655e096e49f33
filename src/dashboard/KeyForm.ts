import { accept, onAccess, whyAsked } from "./Access.ts"
import { byId, isBusy, setBusy, setText } from "./Dom.ts"
import { messageOf, readCaller } from "./Requests.ts"

const millis = 10_000

const dialog = byId("key-dialog", HTMLDialogElement)
const form = byId("key-form", HTMLFormElement)
const input = byId("key-input", HTMLInputElement)
const why = byId("key-why", HTMLElement)
const use = byId("key-use", HTMLButtonElement)
const openButton = byId("enter-key", HTMLButtonElement)

const isKey = (text: string) => /^ord_[\w-]{32,128}$/.test(text)

const say = (text: string) => {
  setText(why, text)
  input.setAttribute("aria-invalid", String(text !== whyAsked()))
  input.select()
  input.focus()
}

const tryKey = async (key: string) => {
  if (!isKey(key)) return say("This is no key: one is ord_ and 32 letters and digits.")
  setBusy(use, true)
  try {
    accept(key, await readCaller(key, millis))
  } catch (error) {
    say(messageOf(error))
  }
  setBusy(use, false)
}

const open = () => {
  if (dialog.open) return
  dialog.showModal()
  say(whyAsked() ?? "")
}

/** Asks for a key when the service does. The page stays as it was below it, and goes on when it has one. */
export const keyForm = () => {
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    if (!isBusy(use)) tryKey(input.value.trim())
  })
  byId("key-later", HTMLButtonElement).addEventListener("click", () => dialog.close())
  // What was typed is not left in the page.
  dialog.addEventListener("close", () => {
    input.value = ""
  })
  openButton.addEventListener("click", open)
  let asked = false
  onAccess(() => {
    const isAsked = whyAsked() !== undefined
    openButton.hidden = !isAsked
    if (isAsked && !asked) open()
    if (!isAsked) dialog.close()
    asked = isAsked
  })
}
