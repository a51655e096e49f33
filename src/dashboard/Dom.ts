import type { Status } from "../order/Order.ts"
import { visible, visibleLines } from "../order/VisibleText.ts"
import { Outside, partsOf, plainText, type Text } from "./Text.ts"

/** The element of the page with that id, which must be of that class. */
export const byId = <E extends Element>(id: string, type: new () => E): E => {
  const element = document.getElementById(id)
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} #${id}`)
  return element
}

/**
 * Makes an element. Whatever comes from outside is a text node or an attribute here, never markup, and all of it is
 * seen: this holds for all that follows.
 */
export const make = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[Tag] => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, visible(value))
  element.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)))
  return element
}

const nodesOf = (text: Text, shown: (part: string) => string) =>
  partsOf(text).map((part) => {
    const node = document.createTextNode(shown(String(part)))
    if (!(part instanceof Outside)) return node
    const isolated = document.createElement("bdi")
    isolated.append(node)
    return isolated
  })

/** Touches the document only where the text is another one. */
export const setText = (element: Element, text: Text) => {
  if (element.textContent !== plainText(text)) element.replaceChildren(...nodesOf(text, visible))
}

/** The same of a text that has line breaks. */
export const setLines = (element: Element, text: Text) => {
  if (element.textContent !== visibleLines(partsOf(text).join(""))) {
    element.replaceChildren(...nodesOf(text, visibleLines))
  }
}

export const setAttribute = (element: Element, name: string, value: string) => {
  if (element.getAttribute(name) !== visible(value)) element.setAttribute(name, visible(value))
}

/** A button that waits for an answer keeps the focus, as a disabled one would not, and does nothing. */
export const setBusy = (button: HTMLButtonElement, isBusy: boolean) =>
  isBusy ? button.setAttribute("aria-disabled", "true") : button.removeAttribute("aria-disabled")

export const isBusy = (button: HTMLButtonElement) => button.getAttribute("aria-disabled") === "true"

const svg = "http://www.w3.org/2000/svg"

/** A status as sign and word. */
export const statusBadge = () => {
  const icon = document.createElementNS(svg, "svg")
  icon.setAttribute("aria-hidden", "true")
  const use = icon.appendChild(document.createElementNS(svg, "use"))
  const word = document.createTextNode("")
  const element = make("span", { class: "status" }, icon, word)
  return {
    element,
    show: (status: Status) => {
      if (word.data === status) return
      word.data = status
      element.dataset.status = status
      use.setAttribute("href", `#status-${status}`)
    }
  }
}
