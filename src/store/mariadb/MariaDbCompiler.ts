import * as Statement from "@effect/sql/Statement"

/** Makes texts of statements. Nothing is given in the ways that stay without one. */
export const mariaDbCompiler = Statement.makeCompiler({
  dialect: "mysql",
  placeholder: () => "?",
  onIdentifier: Statement.defaultEscape("`"),
  onCustom: () => ["", []],
  onRecordUpdate: () => ["", []]
})
