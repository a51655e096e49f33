import { byId, setText } from "./Dom.ts"
import { holdOf } from "./Hold.ts"
import type { View } from "./View.ts"

const body = byId("rows", HTMLTableSectionElement)
const note = byId("orders-note", HTMLElement)
const pauseButton = byId("pause", HTMLButtonElement)

/** Whether the list follows what happens, and the note that says so: it does not while it is paused, or held. */
export const listMotion = (onResume: () => void) => {
  const isHeld = holdOf(body)
  let isPaused = false
  let isOlderPage = false
  let liveness = "Live"

  const showNote = () => {
    const live = isHeld() ? "Held while you choose" : liveness
    setText(note, isPaused ? "Paused" : isOlderPage ? "An older page" : live)
  }

  pauseButton.addEventListener("click", () => {
    isPaused = !isPaused
    pauseButton.setAttribute("aria-pressed", String(isPaused))
    showNote()
    if (!isPaused) onResume()
  })
  for (const type of ["pointerover", "pointerleave", "focusin", "focusout"]) {
    body.addEventListener(type, () => requestAnimationFrame(showNote))
  }

  return {
    isHeld,
    isPaused: () => isPaused,
    showNote,
    showView: ({ cursor }: View) => {
      isOlderPage = cursor !== undefined
      showNote()
    },
    showLiveness: (text: string) => {
      liveness = text
      showNote()
    }
  }
}
