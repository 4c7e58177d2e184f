/** The counters of requests that are written to files. */
export const fileCounters = () => ({
  /** Requests that were written whole. */
  requests: 0,
  /** Requests that were written with production's response (--compare). */
  responses: 0,
  /** Bytes that were written to the files. */
  bytes: 0,
  /**
   * Requests that were not written: the disk refused or was too slow, or the request was larger than
   * --max-request-bytes.
   */
  dropped_requests: 0,
  /**
   * Responses of production that are missing beside their requests, because too many bytes waited for responses, or for
   * the disk.
   */
  dropped_responses: 0,
});

export type FileCounters = ReturnType<typeof fileCounters>;
