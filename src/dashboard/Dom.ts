import type { Status } from "../order/Order.ts"

/** The element of the page with that id, which must be of that class. */
export const byId = <E extends Element>(id: string, type: new () => E): E => {
  const element = document.getElementById(id)
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} #${id}`)
  return element
}

/** Makes an element. Whatever comes from outside is a text node or an attribute here, never markup. */
export const make = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[Tag] => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** Touches the document only where the text is another one. */
export const setText = (element: Element, text: string) => {
  if (element.textContent !== text) element.textContent = text
}

export const setAttribute = (element: Element, name: string, value: string) => {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value)
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
