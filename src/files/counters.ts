/** What is counted of requests that are written to files. */
export const fileCounters = () => ({
  /** Written whole. */
  requests: 0,
  /** Of these, those that were written with production's response (--compare). */
  responses: 0,
  /** Of the files. */
  bytes: 0,
  /** Not written: the disk refused or was too slow, or the request was larger than --max-request-bytes. */
  dropped_requests: 0,
  /** Responses of production that requests were written without, for too many bytes waited for theirs, or the disk. */
  dropped_responses: 0,
});

export type FileCounters = ReturnType<typeof fileCounters>;
