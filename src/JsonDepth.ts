/** How deep JSON may be nested, coming in and as a result: deeper than anyone needs, and safe for every later reader. */
export const maxDepth = 64

export const isDeeperThan = (value: unknown, limit: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (limit === 0 || Object.values(value).some((inner) => isDeeperThan(inner, limit - 1)))
