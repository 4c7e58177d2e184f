/** A response as it is kept to be compared. */

export interface ComparedResponse {
  readonly code: number;
  /** Status line and header section, each byte a character. */
  readonly head: string;
  /** Without its transfer coding. Where there is a digest, not all of it. */
  readonly body: Uint8Array;
  readonly bodyLength: number;
  /** Of a body that is longer than --max-compare-bytes, its SHA-256; null: all of it is in `body`. */
  readonly digest: string | null;
}
