import * as Statement from "@effect/sql/Statement"

/** Makes texts of statements. Nothing is given in the ways that stay without one. */
export const postgresCompiler = Statement.makeCompiler({
  dialect: "pg",
  placeholder: (index) => `$${index}`,
  onIdentifier: Statement.defaultEscape('"'),
  onCustom: () => ["", []],
  onRecordUpdate: () => ["", []]
})
