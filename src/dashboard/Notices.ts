import { byId, make, setText } from "./Dom.ts"
import type { Text } from "./Text.ts"

const list = byId("notices", HTMLElement)
const shownMillis = 6000

/** Says something for a while, above everything else. */
export const notify = (text: Text, kind: "done" | "failed" = "done") => {
  // Opened anew it lies above a dialog that was opened since.
  if (list.matches(":popover-open")) list.hidePopover()
  list.showPopover()
  const notice = make("p", { class: "notice", "data-kind": kind })
  setText(notice, text)
  list.append(notice)
  while (list.children.length > 3) list.firstElementChild?.remove()
  setTimeout(() => {
    notice.remove()
    if (list.children.length === 0) list.hidePopover()
  }, shownMillis)
}
