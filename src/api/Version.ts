/** The version of the package and of the contract. It is not read from package.json, for a browser has none. */
export const version = "0.1.0"
