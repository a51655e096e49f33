import { byId, setText } from "./Dom.ts"

const button = byId("theme", HTMLButtonElement)
const system = matchMedia("(prefers-color-scheme: dark)")

const isDark = () => {
  const { theme } = document.documentElement.dataset
  return theme === undefined ? system.matches : theme === "dark"
}

/** The system's theme, until another is chosen. */
export const themeToggle = (changed: () => void) => {
  const show = () => {
    setText(button, isDark() ? "Light" : "Dark")
    button.setAttribute("aria-label", isDark() ? "Light theme" : "Dark theme")
    changed()
  }
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark"
    document.documentElement.dataset.theme = theme
    try {
      localStorage.setItem("orders-theme", theme)
    } catch {
      // Then it lasts as long as the page.
    }
    show()
  })
  system.addEventListener("change", show)
  show()
}
