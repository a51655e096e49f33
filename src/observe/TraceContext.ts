import { randomBytes } from "node:crypto"
import * as Headers from "@effect/platform/Headers"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import { Cause, Clock, Effect, Exit, FiberRef, Option, Tracer } from "effect"

/** W3C Trace Context, 3.2; ids of zeros alone are none. */
const traceparentPattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** The trace of a request, if it brings one: the value of its `traceparent` header, by W3C Trace Context. */
export const traceparentOf = (headers: Headers.Headers): Option.Option<string> =>
  Option.filter(Headers.get(headers, "traceparent"), (traceparent) => traceparentPattern.test(traceparent))

/** The span that a `traceparent` names. */
export const spanOf = (traceparent: string): Option.Option<Tracer.ExternalSpan> =>
  HttpTraceContext.w3c(Headers.unsafeFromRecord({ traceparent }))

/** Whether spans are exported. It does not change while the service runs. */
export const isTraced = FiberRef.get(FiberRef.currentTracerEnabled)

/** A span that is propagated to those that are called, but not kept. */
export const unkept = (
  name: string,
  parent: Option.Option<Tracer.AnySpan>,
  context: Tracer.Span["context"],
  startTime: bigint,
  kind: Tracer.SpanKind,
  ids: { readonly traceId: string; readonly spanId: string; readonly sampled: boolean }
): Tracer.Span => ({
  _tag: "Span",
  name,
  parent,
  context,
  kind,
  ...ids,
  status: { _tag: "Started", startTime },
  attributes: new Map(),
  links: [],
  attribute: () => {},
  event: () => {},
  addLinks: () => {},
  end: () => {}
})

/** Goes on in the parent's trace as the parent has it, or begins one. */
const passingOn = Tracer.make({
  span: (name, parent, context, _links, startTime, kind) =>
    unkept(name, parent, context, startTime, kind, {
      traceId: Option.match(parent, { onNone: () => randomBytes(16).toString("hex"), onSome: (span) => span.traceId }),
      spanId: randomBytes(8).toString("hex"),
      sampled: Option.match(parent, { onNone: () => true, onSome: (span) => span.sampled })
    }),
  context: (run) => run()
})

/** Requests made inside pass their trace on, or begin one, though no spans are kept. */
export const passingTracesOn = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.withTracerEnabled(Effect.withTracer(self, passingOn), true)

/** What is to be known of a span when it ends. An `error` marks it as failed; it must not hold what is secret. */
export interface SpanEnd {
  readonly attributes: Readonly<Record<string, string | number>>
  readonly error?: string | undefined
}

/**
 * Does it inside a span. Of a failure the span has only what `end` makes of it: the error itself may hold what is not
 * for others, such as a URL with a key in it.
 */
export const inSpan = <A, E, R>(
  name: string,
  {
    attributes,
    kind,
    parent
  }: {
    readonly kind: Tracer.SpanKind
    /** In place of the span around it; none begins a trace. */
    readonly parent?: Option.Option<Tracer.AnySpan>
    readonly attributes: Readonly<Record<string, string | number>>
  },
  use: (span: Tracer.Span) => Effect.Effect<A, E, R>,
  end: (exit: Exit.Exit<A, E>) => SpanEnd
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
  Effect.acquireUseRelease(
    Effect.makeSpan(name, {
      kind,
      attributes,
      captureStackTrace: false,
      ...(parent && Option.match(parent, { onNone: () => ({ root: true }), onSome: (parent) => ({ parent }) }))
    }),
    (span) => Effect.withParentSpan(use(span), span),
    (span, exit) =>
      Effect.map(Clock.currentTimeNanos, (now) => {
        const { attributes, error } = end(exit)
        for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
        const interrupted = Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)
        span.end(now, error !== undefined ? Exit.fail(error) : interrupted ? exit : Exit.void)
      })
  )
