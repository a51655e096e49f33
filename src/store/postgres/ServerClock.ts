/**
 * What time it is by the server's clock, in milliseconds since 1970, as an expression: at that moment, not as the
 * transaction began.
 */
export const serverMillis = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
