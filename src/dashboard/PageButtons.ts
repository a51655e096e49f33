import { byId } from "./Dom.ts"
import { pageTrail } from "./Pages.ts"
import { currentView, show, type View } from "./View.ts"

const newestButton = byId("first-page", HTMLButtonElement)
const newerButton = byId("newer", HTMLButtonElement)
const olderButton = byId("older", HTMLButtonElement)

/** A button that cannot be used keeps its place: another one must not come under the pointer. */
const setUsable = (button: HTMLButtonElement, isUsable: boolean) => button.classList.toggle("unusable", !isUsable)

/** Newest, Newer and Older: they turn from one page of the list to another. */
export const pageButtons = (onTurn: () => void) => {
  const trail = pageTrail()
  let view: View = {}
  let next: string | undefined

  const turnTo = (cursor: string | undefined) => {
    const { cursor: _, ...first } = currentView()
    show(cursor === undefined ? first : { ...first, cursor })
    onTurn()
  }

  const showNext = (cursor: string | undefined) => {
    next = cursor
    setUsable(olderButton, next !== undefined)
  }

  olderButton.addEventListener("click", () => {
    if (next === undefined) return
    trail.remember(view, { ...view, cursor: next })
    turnTo(next)
  })
  newerButton.addEventListener("click", () => turnTo(trail.newerOf(view) || undefined))
  newestButton.addEventListener("click", () => turnTo(undefined))

  return {
    /** Of a page that is not read yet the next one is not known. */
    showView: (wanted: View) => {
      view = wanted
      showNext(undefined)
      setUsable(newestButton, view.cursor !== undefined)
      setUsable(newerButton, view.cursor !== undefined && trail.newerOf(view) !== undefined)
    },
    /** Where the next older page begins. */
    showNext
  }
}
