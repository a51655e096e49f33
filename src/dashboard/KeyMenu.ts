import { knownCaller, lacks, onAccess } from "./Access.ts"
import { byId, setText } from "./Dom.ts"
import { moment } from "./Format.ts"
import { keep } from "./KeptKey.ts"
import { scopes } from "./Scopes.ts"

const button = byId("key", HTMLButtonElement)
const menu = byId("key-menu", HTMLElement)
const name = byId("key-name", HTMLElement)
const may = byId("key-scopes", HTMLElement)
const expires = byId("key-expires", HTMLElement)

/** Says whose key the page has and what for, forgets it, and takes away the parts of the page that it is no good for. */
export const keyMenu = () => {
  byId("forget-key", HTMLButtonElement).addEventListener("click", () => {
    keep(undefined)
    // What was read with it goes too.
    location.reload()
  })
  onAccess(() => {
    const caller = knownCaller()
    if (caller === undefined) {
      button.hidden = true
      if (menu.matches(":popover-open")) menu.hidePopover()
      return
    }
    document.body.dataset.lacks = scopes.filter(lacks).join(" ")
    button.hidden = caller.name === null
    button.title = `Key ${caller.name ?? ""}`
    setText(name, caller.name ?? "")
    setText(may, caller.scopes.join(", "))
    setText(expires, caller.expires_at === null ? "never" : moment(caller.expires_at))
  })
}
