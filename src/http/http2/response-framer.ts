/**
 * From what an HTTP/2 server says, in order and with gaps, to its responses: each belongs to the request of its stream.
 * https://www.rfc-editor.org/rfc/rfc9113#section-8.1
 *
 * Behind a gap that nobody knows the end of, no response is whole that had begun before it, and nothing proves that no
 * header block was in it: what those before it have told is not known any more (hpack-decoder.ts). A response of which
 * the final head comes behind the gap is whole, for it has but one.
 */
import { Http2Framer } from "./framer.ts";
import { ResponseHead } from "./response-head.ts";

/** What a server's header block may be, as it is encoded. */
export const RESPONSE_BLOCK_BYTES_MAX = 64 << 10;

const FINAL_STATUS = 200;

/** A response that is awaited, or has begun to come. Bytes, and what a section says, are valid until the call returns. */
export interface Http2Response {
  /** Its final head has come. */
  readonly isBegun: boolean;
  /** Its final head is whole: it has begun. */
  head(section: ResponseHead): void;
  /** Of its body, without framing. */
  body(bytes: Uint8Array, offset: number, length: number): void;
  /** It is whole. `trailer`: null: it has none. */
  whole(trailer: ResponseHead | null): void;
  /** It does not come whole. `isSeen`: some of it has come. */
  damaged(isSeen: boolean): void;
}

/** Told of final heads, whoever awaits them. */
export interface Http2StatusSink {
  status(code: number): void;
}

export class Http2ResponseFramer extends Http2Framer {
  private readonly section = new ResponseHead();

  /**
   * `awaited`: responses by their streams; they are taken out of it when they are told whole or damaged. `isLate`: what
   * comes may be the middle of what the server says.
   */
  constructor(
    private readonly sink: Http2StatusSink,
    private readonly awaited: Map<number, Http2Response>,
    isLate: boolean,
  ) {
    super(RESPONSE_BLOCK_BYTES_MAX, true, isLate);
  }

  /** Nothing comes any more. */
  end(): void {
    this.reader.isOver = true;
    for (const [stream, response] of this.awaited) this.damage(stream, response, response.isBegun);
  }

  // What the frames say (FrameListener).

  data(stream: number, bytes: Uint8Array, offset: number, length: number): void {
    const response = this.awaited.get(stream);
    if (response?.isBegun === true) response.body(bytes, offset, length);
  }

  dataLost(stream: number): void {
    this.damageSeen(stream);
  }

  dataEnd(stream: number, _length: number, endsStream: boolean): void {
    const response = this.awaited.get(stream);
    if (response === undefined) return;
    // Its head was lost.
    if (!response.isBegun) this.damageSeen(stream);
    else if (endsStream) this.finish(stream, response, null);
  }

  headers(stream: number, block: Buffer, length: number, endsStream: boolean): void {
    const { section } = this;
    const response = this.awaited.get(stream);
    section.begin(response !== undefined);
    if (!this.decoder.decode(block, length, section)) return this.malformed();
    if (section.status >= FINAL_STATUS) this.sink.status(section.status);
    if (response === undefined) return;
    if (section.isUnknown) this.damageSeen(stream);
    else if (response.isBegun) this.trailer(stream, response, endsStream);
    else this.head(stream, response, endsStream);
  }

  headersLost(stream: number): void {
    this.decoder.lose();
    this.damageSeen(stream);
  }

  override promise(block: Buffer | null, length: number): void {
    if (block === null) return this.decoder.lose();
    this.section.begin(false);
    if (!this.decoder.decode(block, length, this.section)) this.malformed();
  }

  reset(stream: number): void {
    const response = this.awaited.get(stream);
    if (response !== undefined) this.damage(stream, response, response.isBegun);
  }

  /** Requests of later streams were not looked at, and never will be. */
  override goAway(lastStream: number): void {
    for (const [stream, response] of this.awaited)
      if (stream > lastStream) this.damage(stream, response, response.isBegun);
  }

  malformed(): void {
    this.end();
  }

  protected skipped(): void {}
  protected missed(): void {}

  protected lost(): void {
    this.decoder.lose();
    for (const [stream, response] of this.awaited) if (response.isBegun) this.damage(stream, response, true);
  }

  private head(stream: number, response: Http2Response, endsStream: boolean): void {
    const { section } = this;
    const isInterim = section.status > 0 && section.status < FINAL_STATUS;
    // A trailer section of which the head was lost; or an interim response that is the last, which there is not.
    if (section.status === 0 || (isInterim && endsStream)) return this.damageSeen(stream);
    if (isInterim) return;
    response.head(section);
    if (endsStream) this.finish(stream, response, null);
  }

  private trailer(stream: number, response: Http2Response, endsStream: boolean): void {
    if (this.section.status > 0 || !endsStream) this.damageSeen(stream);
    else this.finish(stream, response, this.section);
  }

  private finish(stream: number, response: Http2Response, trailer: ResponseHead | null): void {
    this.awaited.delete(stream);
    response.whole(trailer);
  }

  private damageSeen(stream: number): void {
    const response = this.awaited.get(stream);
    if (response !== undefined) this.damage(stream, response, true);
  }

  private damage(stream: number, response: Http2Response, isSeen: boolean): void {
    this.awaited.delete(stream);
    response.damaged(isSeen);
  }
}
