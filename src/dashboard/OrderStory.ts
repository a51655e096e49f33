import type { ChangeJson, OrderJson } from "./ApiJson.ts"
import { byId, make, setLines, setText } from "./Dom.ts"
import { count, fullTime, moment } from "./Format.ts"
import { merged, type Step, storyOf } from "./StorySteps.ts"

/** So many of the last changes are shown at first, and so many more at a time. */
const firstShown = 25
const moreShown = 100

const list = byId("panel-story", HTMLElement)
const earlier = byId("panel-earlier", HTMLButtonElement)
const heading = byId("story-heading", HTMLElement)

const itemOf = ({ at, error, note, title }: Step) => {
  const name = make("strong")
  setText(name, title)
  const item = make("li", {}, name, make("time", { datetime: at, title: fullTime(at) }, moment(at)))
  if (note !== "") item.append(make("span", { class: "note" }, note))
  if (error !== null) {
    const message = make("p")
    setLines(message, error.message)
    item.append(make("code", {}, error.code), message)
  }
  return item
}

const earlierText = (hidden: number) => {
  const all = hidden === 1 ? "1 earlier change" : `${count(hidden)} earlier changes`
  return hidden > moreShown ? `Show ${moreShown} of ${all}` : `Show ${all}`
}

/** Steps that are shown already stay the same elements. */
const storyItems = () => {
  let items = new Map<string, HTMLElement>()
  return (steps: ReadonlyArray<Step>) => {
    const shown = new Map(
      steps.map((step) => {
        const key = JSON.stringify(step)
        return [key, items.get(key) ?? itemOf(step)]
      })
    )
    for (const [key, item] of items) if (!shown.has(key)) item.remove()
    let before = list.firstElementChild
    for (const item of shown.values()) {
      if (item === before) before = before.nextElementSibling
      else list.insertBefore(item, before)
    }
    items = shown
  }
}

/** What has happened to the order that is open: its history, or what the order itself says if there is none. */
export const orderStory = () => {
  let order: OrderJson | undefined
  let changes: ReadonlyArray<ChangeJson> = []
  let limit = firstShown
  const showItems = storyItems()

  const render = () => {
    const hidden = Math.max(0, changes.length - limit)
    if (hidden === 0 && earlier === document.activeElement) heading.focus()
    earlier.hidden = hidden === 0
    setText(earlier, earlierText(hidden))
    showItems(order === undefined ? [] : storyOf(order, changes, limit))
  }

  earlier.addEventListener("click", () => {
    limit += moreShown
    render()
  })

  return {
    clear: () => {
      order = undefined
      changes = []
      limit = firstShown
      render()
    },
    /** The id of the last change; 0 while none is known. */
    last: () => changes.at(-1)?.id ?? 0,
    /** Takes more changes, also such as are there already. */
    add: (more: ReadonlyArray<ChangeJson>) => {
      changes = merged(changes, more)
      render()
    },
    show: (shown: OrderJson) => {
      order = shown
      render()
    }
  }
}
