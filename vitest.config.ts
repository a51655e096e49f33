import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // For a machine many times slower than any other: they only end what hangs.
    testTimeout: 300_000,
    hookTimeout: 300_000
  }
})
