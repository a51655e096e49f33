import type { OrderEventJson } from "../api/OrderEvent.ts"
import { readEvents } from "./EventReader.ts"
import { resumption } from "./Resumption.ts"

const reopenMillis = 3000

interface StreamListener {
  readonly onRequest: () => void
  readonly onOpen: () => void
  /** Some events were missed, and none from now on. */
  readonly onGap: () => void
  readonly onSign: () => void
  readonly onEvent: (event: OrderEventJson) => void
  readonly onEnd: () => void
}

/** A stream of events that is opened again some time after it has ended, and goes on behind the last event that came. */
export const steadyStream = ({ onEnd, onEvent, onGap, onOpen, onRequest, onSign }: StreamListener) => {
  const resuming = resumption(Date.now)
  let closeStream: (() => void) | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const close = () => {
    closeStream?.()
    closeStream = undefined
    clearTimeout(timer)
  }

  const open = () => {
    close()
    onRequest()
    const after = resuming.place()
    closeStream = readEvents(after, {
      onOpen: (serviceTime) => {
        resuming.opened(serviceTime)
        if (after === undefined) onGap()
        onOpen()
      },
      onSign: () => {
        resuming.sign()
        onSign()
      },
      onBlock: (block) => {
        if (!resuming.goesOnWith(block)) return open()
        if (block.event !== undefined) onEvent(block.event)
      },
      onEnd: () => {
        closeStream = undefined
        timer = setTimeout(open, reopenMillis)
        onEnd()
      }
    })
  }

  return { open, close, isOpen: () => closeStream !== undefined }
}
