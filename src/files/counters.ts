/** What is counted of requests that are written to files. */
export const fileCounters = () => ({
  /** Written whole. */
  requests: 0,
  /** Of the files. */
  bytes: 0,
  /** Not written: the disk refused or was too slow, or the request was larger than --max-request-bytes. */
  dropped_requests: 0,
});

export type FileCounters = ReturnType<typeof fileCounters>;
