import { defineConfig } from "vitest/config"
import { SkippedReporter } from "./test/support/SkippedReporter.ts"

/** Tests of what `npm run build` made, and of anything else in a process of its own or a browser. */
const built = "test/**/*.built.test.ts"

export default defineConfig({
  test: {
    reporters: ["default", new SkippedReporter()],
    // Loading the libraries for each file anew would take a fifth of the time.
    isolate: false,
    setupFiles: ["test/support/Setup.ts"],
    // On two cores: of three workers one waits most of the time, for a disk, a child process or a browser.
    maxWorkers: 3,
    minWorkers: 3,
    // As the service is started: collecting the young generation often would take a sixth of the time.
    poolOptions: { forks: { execArgv: ["--max-semi-space-size=32"] } },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [built],
          testTimeout: 10_000,
          hookTimeout: 10_000
        }
      },
      {
        extends: true,
        test: {
          name: "built",
          include: [built],
          globalSetup: "test/support/Templates.ts",
          // For a machine many times slower than any other: they only end what hangs.
          testTimeout: 300_000,
          hookTimeout: 300_000
        }
      }
    ]
  }
})
