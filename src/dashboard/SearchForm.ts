import { byId } from "./Dom.ts"
import { show } from "./View.ts"

const form = byId("search", HTMLFormElement)
const query = byId("query", HTMLInputElement)

/** The field for the id of an order or a user. An empty one leads to the newest orders. */
export const searchForm = () => {
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    const q = query.value.trim()
    show(q === "" ? {} : { q })
  })
  query.addEventListener("search", () => {
    if (query.value === "") show({})
  })
  return {
    show: (q: string | undefined) => {
      query.value = q ?? ""
    }
  }
}
