import type { FailureJson } from "./ApiJson.ts"
import { byId, make, setAttribute, setText } from "./Dom.ts"
import { count, fullTime, time } from "./Format.ts"
import { hashOf } from "./View.ts"

const list = byId("failures", HTMLElement)
const heading = byId("failures-heading", HTMLElement)

/** Retries the Failed orders of a group: how many it counts, their code, and the button that was pressed. */
type RetryGroup = (button: HTMLButtonElement, failed: number, code: string) => void

const makeGroup = (code: string, retry: RetryGroup) => {
  let failed = 0
  const number = make("strong")
  const when = make("span", { class: "note" })
  const button = make(
    "button",
    { type: "button", "aria-label": `Retry these: ${code}`, "data-needs": "operate" },
    "Retry these"
  )
  button.addEventListener("click", () => retry(button, failed, code))
  const link = make("a", { href: hashOf({ status: "Failed", error_code: code }), title: code }, make("code", {}, code))
  return {
    element: make("li", {}, make("div", {}, number, link), when, button),
    fill: (group: FailureJson) => {
      failed = group.count
      setText(number, count(group.count))
      setText(when, `last ${time(group.last_at)}`)
      setAttribute(when, "title", `first ${fullTime(group.first_at)}, last ${fullTime(group.last_at)}`)
    }
  }
}

/** The list of the groups of Failed orders by their code. A group keeps its element, and the focus in it. */
export const failureGroups = (retry: RetryGroup) => {
  const groups = new Map<string, ReturnType<typeof makeGroup>>()

  const removeOthers = (found: ReadonlyArray<FailureJson>) => {
    for (const [code, group] of groups) {
      if (found.some(({ error_code }) => error_code === code)) continue
      if (group.element.contains(document.activeElement)) heading.focus()
      group.element.remove()
      groups.delete(code)
    }
  }

  return {
    /** Changes the groups that are there, and moves none. */
    fill: (found: ReadonlyArray<FailureJson>) => {
      for (const one of found) groups.get(one.error_code)?.fill(one)
    },
    place: (found: ReadonlyArray<FailureJson>) => {
      const focused = document.activeElement
      removeOthers(found)
      for (const [index, one] of found.entries()) {
        const group = groups.get(one.error_code) ?? makeGroup(one.error_code, retry)
        groups.set(one.error_code, group)
        group.fill(one)
        const there = list.children[index]
        if (there !== group.element) list.insertBefore(group.element, there ?? null)
      }
      // An element that is moved loses the focus.
      if (focused instanceof HTMLElement && list.contains(focused)) focused.focus()
    }
  }
}
