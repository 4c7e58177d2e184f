/** Counts how much a shard's requests wait for their destination. A source that can wait goes by it (read-ahead.ts). */
export class Load {
  /** Pipes that have requests, waiting or in flight. */
  busyPipes = 0;
  /** Requests that wait for their turn. */
  waitingRequests = 0;
  /** Those of them that wait behind requests of which the rest has not come yet: only the source can help. */
  requestsBehindParts = 0;
  /** Pipes that wait for a response to a whole request. */
  awaitingPipes = 0;
  /** The most requests that waited on one connection since the last call of {@link takeLongest}. */
  longestWaiting = 0;
  private longest: Queue | null = null;

  /** More requests wait in this queue than in any other since the last call. */
  noteLongest(queue: Queue): void {
    this.longestWaiting = queue.waiting;
    this.longest = queue;
  }

  /** The most requests that waited on one connection since the last call. */
  takeLongest(): number {
    const most = this.longestWaiting;
    this.longestWaiting = this.longest?.waiting ?? 0;
    if (this.longestWaiting === 0) this.longest = null;
    return most;
  }
}

interface Queue {
  readonly waiting: number;
}
