/** How much a shard's requests wait for their destination: what a source that can wait goes by (read-ahead.ts). */
export class Load {
  /** Pipes that have requests, waiting or in flight. */
  busyPipes = 0;
  /** Requests that wait for their turn. */
  waitingRequests = 0;
  /** Pipes that wait for a response. */
  awaitingPipes = 0;
}
