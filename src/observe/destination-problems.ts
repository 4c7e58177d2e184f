/** The problems of one destination, in words: it takes no connections, is too slow, or does not respond. */
import type { ForwardCounters } from "../forward/counters.ts";
import { type DestinationGauges, isUp } from "./gauges.ts";
import { Window } from "./window.ts";

/** The share of a limit that counts as near it. */
export const NEAR_SHARE = 0.8;
/** The share of sent requests that may have no response. */
export const UNANSWERED_SHARE_MAX = 0.01;
/** Fewer are an accident. */
export const UNANSWERED_MIN = 10;
const MIB = 2 ** 20;

/** The name and the limits of a destination, in words. */
interface DestinationProblemOptions {
  /** The destination's name in messages: "the endpoint 10.0.0.9:8080". */
  readonly name: string;
  /** The effect if it takes no connections. */
  readonly downMeans: string;
  /** The limits, in words: "of 10 MiB are held (--max-buffer-mib)". */
  readonly bufferWords: string;
  readonly maxWaitingRequests: number;
  /** False: a savefile waits at the limits, so they are no problem. */
  readonly isLive: boolean;
}

/** The problems of a destination; undefined: it has no such problem. */
interface DestinationTroubles {
  readonly down: string | undefined;
  readonly waiting_limit: string | undefined;
  readonly buffer_limit: string | undefined;
  readonly unanswered: string | undefined;
}

type Counted = Pick<ForwardCounters, "requests" | "responses">;

const marksOf = ({ requests, responses }: Counted) => ({
  waitingDropped: requests.dropped.waiting_limit,
  forwarded: requests.forwarded,
  unanswered: responses.unanswered,
});

/** Finds the problems of one destination. */
export class DestinationProblems {
  private readonly window = new Window<ReturnType<typeof marksOf>>();
  /** When the destination was first found unreachable; -1: it is there. */
  downSinceMs = -1;

  constructor(private readonly options: DestinationProblemOptions) {}

  /** Looks at the counters and gauges, and returns the problems. */
  look(counters: Counted, gauges: DestinationGauges): DestinationTroubles {
    this.window.add(marksOf(counters));
    if (isUp(gauges)) this.downSinceMs = -1;
    else if (this.downSinceMs < 0) this.downSinceMs = gauges.unconnected_ms;
    return {
      down: this.down(),
      waiting_limit: this.waiting(gauges),
      buffer_limit: this.buffer(gauges),
      unanswered: this.unanswered(),
    };
  }

  private down(): string | undefined {
    if (this.downSinceMs < 0) return undefined;
    const { name, downMeans } = this.options;
    return `${capital(name)} has taken no connections since ${timeOfDay(this.downSinceMs)}: does it run, and can this host reach it? ${downMeans}`;
  }

  private waiting({ longest_waiting_requests: longest }: DestinationGauges): string | undefined {
    const { maxWaitingRequests, name, isLive } = this.options;
    const dropped = this.window.rise("waitingDropped");
    if (dropped === 0 && !(isLive && longest >= maxWaitingRequests * NEAR_SHARE)) return undefined;
    const lost = dropped > 0 ? `, and ${dropped} were dropped in the last minute (requests.dropped.waiting_limit)` : "";
    return `Up to ${longest} requests of one connection wait for ${name}, and the limit is ${maxWaitingRequests} (--max-waiting-requests)${lost}: ${name} is slower than production`;
  }

  private buffer({ buffer_bytes: held, max_buffer_bytes: most }: DestinationGauges): string | undefined {
    const { isLive, bufferWords } = this.options;
    if (!isLive || most === 0 || held < most * NEAR_SHARE) return undefined;
    return `${Math.round(held / MIB)} of ${Math.round(most / MIB)} MiB are held ${bufferWords}`;
  }

  private unanswered(): string | undefined {
    const [count, of] = [this.window.rise("unanswered"), this.window.rise("forwarded")];
    if (count < UNANSWERED_MIN || count <= of * UNANSWERED_SHARE_MAX) return undefined;
    return `${capital(this.options.name)} did not respond to ${count} of ${of} requests in the last minute (responses.unanswered)`;
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function timeOfDay(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)} UTC`;
}
