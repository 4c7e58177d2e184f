/** Decides which requests in flight on a connection that is over are sent again, and which are lost. */
import type { RequestQueue } from "./request-queue.ts";
import type { Request } from "./request.ts";

/** How often a request is sent again because its connection ended before the response began. */
export const RESENDS_MAX = 3;

/** How the connection has ended. */
export interface Loss {
  /** The first request is not tried again, because it was the one that failed. */
  readonly firstFailed: boolean;
  /** How many of the last written bytes were not sent. */
  readonly unsentBytes: number;
  /** The destination has not read the first request: its time for an idle connection was over. */
  readonly wasIdle: boolean;
}

/**
 * A request in flight waits again if it may be sent twice, or none of it was sent. The others are removed from the
 * queue, and returned. `streamed`: the last one, if its bytes still come; else null.
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

/** For each request in flight, how many of its bytes were not sent. */
function unsentBytesOf(queue: RequestQueue, unsentBytes: number): number[] {
  const { inFlight } = queue;
  const unsent = new Array<number>(inFlight);
  // From the last one on, because the last bytes are the unsent ones.
  for (let place = inFlight - 1; place >= 0; place--) {
    const { length, isStreamed } = queue.at(place);
    // The length of a streamed or handed-over request is not known here: all bytes that are left are its own.
    unsent[place] = isStreamed ? unsentBytes : Math.min(unsentBytes, length);
    unsentBytes -= unsent[place]!;
  }
  return unsent;
}
