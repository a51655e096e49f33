/** The mode of a file as `chmod` takes it, such as `mode 0644`. */
export const modeOf = ({ mode }: { readonly mode: number }) => `mode ${(mode & 0o7777).toString(8).padStart(4, "0")}`
