import { readEvents, type StreamListener } from "./EventReader.ts"

const reopenMillis = 3000

/** A stream of events that is opened again some time after it has ended. */
export const steadyStream = (listener: StreamListener & { readonly onRequest: () => void }) => {
  let closeStream: (() => void) | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const close = () => {
    closeStream?.()
    closeStream = undefined
    clearTimeout(timer)
  }

  const open = () => {
    close()
    listener.onRequest()
    closeStream = readEvents({
      ...listener,
      onEnd: () => {
        closeStream = undefined
        timer = setTimeout(open, reopenMillis)
        listener.onEnd()
      }
    })
  }

  return { open, close, isOpen: () => closeStream !== undefined }
}
