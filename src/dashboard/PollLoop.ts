const pollMillis = 1000
const restMillis = 200

/**
 * Runs a task each second, one run at a time, as long as the page is seen. `run` runs it at once, or again right after
 * the run under way, which may not have seen the reason.
 */
export const pollLoop = (task: () => Promise<void>) => {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isRunning = false
  let isRequested = false

  const run = async () => {
    clearTimeout(timer)
    isRequested = isRunning
    if (isRunning || document.hidden) return
    isRunning = true
    const startedAt = performance.now()
    try {
      await task()
    } finally {
      isRunning = false
      timer = setTimeout(run, isRequested ? 0 : Math.max(restMillis, startedAt + pollMillis - performance.now()))
    }
  }

  return { run, stop: () => clearTimeout(timer) }
}
