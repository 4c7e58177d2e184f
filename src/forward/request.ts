/** The requests of a pipe, as far as sending them goes; their bytes lie elsewhere. */

/** Requests that are kept to be used again. */
const SPARE_MAX = 4096;

export interface RequestKind {
  readonly method: string;
  readonly isIdempotent: boolean;
  readonly wantsUpgrade: boolean;
}

export class Request implements RequestKind {
  method = "";
  isIdempotent = false;
  wantsUpgrade = false;
  /** In bytes; 0: it was streamed, and cannot be sent again. */
  length = 0;
  timestampMs = 0;
  resends = 0;
  /** Unanswered and not to be sent again, while one before it still is. */
  cancelled = false;
}

/** What all pipes of a shard share, so that a request costs no new object: one that was used just now is still in the processor's cache. */
export class RequestPool {
  private readonly spare: Request[] = [];

  take(kind: RequestKind, length: number, timestampMs: number): Request {
    const request = this.spare.pop() ?? new Request();
    request.method = kind.method;
    request.isIdempotent = kind.isIdempotent;
    request.wantsUpgrade = kind.wantsUpgrade;
    request.length = length;
    request.timestampMs = timestampMs;
    request.resends = 0;
    request.cancelled = false;
    return request;
  }

  /** `request` is another one's from here on. */
  giveBack(request: Request): void {
    if (this.spare.length < SPARE_MAX) this.spare.push(request);
  }
}
