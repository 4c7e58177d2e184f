/** A response in the form that is kept for the comparison. */
import { latin1 } from "../http/latin1.ts";
import { costOf } from "../memory/array-pool.ts";

/** An array without bytes. */
export const NOTHING = new Uint8Array(0);

/** A response to be compared. Its bytes are valid as long as its holder has it. */
export interface ComparedResponse {
  readonly code: number;
  /** Status line and header section: the first {@link headLength} bytes. */
  readonly headBytes: Uint8Array;
  readonly headLength: number;
  /**
   * The body without its transfer coding: the first {@link keptLength} bytes. If there is a digest, the body is longer.
   */
  readonly bodyBytes: Uint8Array;
  readonly keptLength: number;
  readonly bodyLength: number;
  /** The SHA-256 of a body that is longer than --max-compare-bytes; null: the whole body is kept. */
  readonly digest: string | null;
  /** The head, each byte a character. */
  readonly head: string;
  /** The kept part of the body. */
  readonly body: Uint8Array;
}

/** A kept response: its holder gives it back, to be used again (ComparedMemory). Its arrays come from the pool. */
export class Kept implements ComparedResponse {
  code = 0;
  headBytes: Uint8Array = NOTHING;
  headLength = 0;
  bodyBytes: Uint8Array = NOTHING;
  keptLength = 0;
  bodyLength = 0;
  digest: string | null = null;
  /**
   * When the response's first and last bytes came, and when its request's last byte was written (0: not known), in
   * milliseconds.
   */
  firstMs = 0;
  lastMs = 0;
  writtenMs = 0;
  /** False: there was no room for the response, or no comparison wanted it, and no byte of it is kept. */
  isKept = true;

  /** The response to compare; null: it is not kept. */
  get response(): ComparedResponse | null {
    return this.isKept ? this : null;
  }

  get head(): string {
    return latin1(this.headBytes, 0, this.headLength);
  }

  get body(): Uint8Array {
    return this.bodyBytes.subarray(0, this.keptLength);
  }

  /** The bytes that are charged for it. */
  get heldBytes(): number {
    return arrayCost(this.headBytes) + arrayCost(this.bodyBytes);
  }

  /** Prepares it for another response, with the same arrays. */
  clear(): void {
    this.headLength = 0;
    this.keptLength = 0;
    this.bodyLength = 0;
    this.digest = null;
    this.isKept = true;
  }
}

function arrayCost(array: Uint8Array): number {
  return array === NOTHING ? 0 : costOf(array);
}
