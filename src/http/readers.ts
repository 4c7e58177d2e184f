/**
 * What reads the heads of messages. Framers borrow it from a message's first byte to its end: most connections stand
 * between two messages and have none, and those under way share a few, which stay in the processor's cache.
 */
import { ChunkedBody } from "./chunked-body.ts";
import { HeaderSection } from "./header-section.ts";
import { RequestLine } from "./request-line.ts";
import { RequestHead } from "./request-sink.ts";
import { StatusLine } from "./status-line.ts";

/** The most readers of one kind that wait to be lent again; the garbage collection takes the others. */
export const SPARE_READERS_MAX = 64;

/** Reads requests, one after the other. */
export class RequestReader {
  readonly line = new RequestLine();
  readonly fields = new HeaderSection(false);
  readonly head = new RequestHead();
  private chunkedBody: ChunkedBody | null = null;

  get chunked(): ChunkedBody {
    return (this.chunkedBody ??= new ChunkedBody(false));
  }
}

/** Reads responses, one after the other. */
export class ResponseReader {
  readonly line = new StatusLine();
  readonly fields = new HeaderSection(true);
  private chunkedBody: ChunkedBody | null = null;

  get chunked(): ChunkedBody {
    return (this.chunkedBody ??= new ChunkedBody(true));
  }
}

/** Lends readers of one kind to the framers of a thread. */
export class Lender<Reader> {
  /** The one that was given back last; null: it is lent. (A list costs more than most requests need.) */
  private last: Reader | null = null;
  private readonly spare: Reader[] = [];

  constructor(private readonly make: () => Reader) {}

  /** A reader in any state. It belongs to the caller until {@link giveBack}; a lost one is no loss. */
  take(): Reader {
    const { last } = this;
    if (last === null) return this.spare.pop() ?? this.make();
    this.last = null;
    return last;
  }

  giveBack(reader: Reader): void {
    if (this.last === null) this.last = reader;
    else if (this.spare.length < SPARE_READERS_MAX - 1) this.spare.push(reader);
  }
}

export const requestReaders = new Lender(() => new RequestReader());
export const responseReaders = new Lender(() => new ResponseReader());
