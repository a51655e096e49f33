// Loaded before the first paint, so that a chosen theme does not flash in the other one.
try {
  const chosen = localStorage.getItem("orders-theme")
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen
} catch {
  // Storage can be forbidden; then the system's theme it is.
}
