import * as Os from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { postgresErrors } from "../../../src/store/postgres/PostgresErrors.ts"

describe("PostgreSQL's errors", () => {
  const { isUnavailable } = postgresErrors

  it("are the storage's fault if the connection is, by whatever name of the system", () => {
    // EPIPE, of five letters, is among them.
    for (const code of ["", ...Object.keys(Os.constants.errno)]) assert.isTrue(isUnavailable(code), code)
  })

  it("are the storage's fault if the server is, and else that of the statement or its values", () => {
    for (const code of ["08006", "25006", "40P01", "53300", "57P01", "58030", "XX001"]) {
      assert.isTrue(isUnavailable(code), code)
    }
    for (const code of ["22P02", "23505", "25P02", "42P01", "F0000", "HV00B", "P0001"]) {
      assert.isFalse(isUnavailable(code), code)
    }
  })
})
