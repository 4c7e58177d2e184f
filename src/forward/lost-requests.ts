/** The requests that were in flight on a connection that is over: which of them are sent again, and which are lost. */
import type { RequestQueue } from "./request-queue.ts";
import type { Request } from "./request.ts";

/** How often a request is sent again because its connection ended before the response began. */
export const RESENDS_MAX = 3;

/** How the connection has ended. */
export interface Loss {
  /** The first request is not tried again, for it was what failed. */
  readonly firstFailed: boolean;
  /** Of what was written last, what was not sent. */
  readonly unsentBytes: number;
  /** The first request was not read. */
  readonly wasIdle: boolean;
}

/**
 * What was in flight waits again if it may be sent twice, or none of it was sent. The others are taken out of the
 * queue, and returned. `streamed`: the last one, if its bytes still come.
 */
export function takeLost(queue: RequestQueue, streamed: Request | null, loss: Loss): Request[] {
  const unsent = unsentBytesOf(queue, loss.unsentBytes);
  return queue.requeue((request, place) => {
    const isWhole = request !== streamed;
    request.wasTaken ||= isWhole && unsent[place] === 0;
    const mayRepeat = request.isIdempotent || unsent[place]! >= request.length || (loss.wasIdle && place === 0);
    return (
      request.isStreamed ||
      request.isResponded ||
      !mayRepeat ||
      (loss.firstFailed && place === 0) ||
      request.tries > RESENDS_MAX
    );
  });
}

/** Of each request in flight, how many bytes were not sent. */
function unsentBytesOf(queue: RequestQueue, unsentBytes: number): number[] {
  const { inFlight } = queue;
  const unsent = new Array<number>(inFlight);
  // From the last one on, for it is the last ones that were not sent.
  for (let place = inFlight - 1; place >= 0; place--) {
    const { length, isStreamed } = queue.at(place);
    // Of what was streamed, or handed over, the length is not known here: all that is left is its own.
    unsent[place] = isStreamed ? unsentBytes : Math.min(unsentBytes, length);
    unsentBytes -= unsent[place]!;
  }
  return unsent;
}
