// From version 13 on one binary fits every Node that has Node-API 10, but Node 20 crashes at it. Version 12 is compiled for
// one line of Node, and the process aborts at it from Node 24.19 on.
const name = process.versions.node.startsWith("20.") ? "better-sqlite3-12" : "better-sqlite3-13"

try {
  module.exports = require(name)
} catch (cause) {
  // Who opens no database needs no driver.
  module.exports = class Database {
    constructor() {
      throw cause
    }
  }
}
