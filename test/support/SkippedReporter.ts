import * as Path from "node:path"
import type { Reporter, TestModule } from "vitest/node"

/** Names at the end each test that was skipped. Why, stands in its name, in that of its suite, or in its note. */
export class SkippedReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>) {
    const skipped = modules.flatMap((module) =>
      Array.from(module.children.allTests("skipped"), (test) => {
        const result = test.result()
        const note = result.state === "skipped" && result.note ? ` (${result.note})` : ""
        return `  ${Path.relative("", module.moduleId)} > ${test.fullName}${note}\n`
      })
    )
    if (skipped.length > 0) process.stdout.write(`\nSkipped:\n${skipped.join("")}`)
  }
}

export default SkippedReporter
